# A trust domain's registers against a profile that must be complete.
package policy

default allow := false

profile := {
	"mr_td": "c1d2",
	"rtmr_1": "aa01",
	"rtmr_2": "bb02",
}

body := input.submods.cpu0["ear.veraison.annotated-evidence"].tdx.quote.body

allow if {
	data.plugin == "resource"
	object.keys(profile) == {"mr_td", "rtmr_1", "rtmr_2"}
	every field in ["mr_td", "rtmr_1", "rtmr_2"] {
		body[field] == profile[field]
	}
	bits.and(to_number(body.td_attributes), 1) == 0
	entries := [e | some e in input.submods.cpu0["ear.veraison.annotated-evidence"].tdx.ccel; e.index == 1]
	count(entries) == 1
	entries[0].digest == "d1"
}
