#include "broker/store/findings.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *hint;
    bool hurts;
} FAULTS[FAULT_COUNT] = {
    [FAULT_DAMAGED] = {"damaged", "put it again, or restore an older version (strongroom resource "
                                  "restore); until then it fails", true},
    [FAULT_MISPLACED] = {"misplaced", "somebody copied it to this label; it is not served; remove it "
                                      "with the token's own tools", true},
    [FAULT_TORN] = {"torn", "a write was cut short and was never acknowledged; remove it with the "
                            "token's own tools", true},
    [FAULT_ROLLED_BACK] = {"rolled-back", "find out who did it; put it again, or accept it (strongroom "
                                          "token verify --accept)", true},
    [FAULT_MISSING] = {"missing", "find out who did it; put it again, or accept it (strongroom token "
                                  "verify --accept)", true},
    [FAULT_FOREIGN] = {"foreign", "it is left alone; remove it with the token's own tools if it is "
                                  "nobody's", false},
    [FAULT_LEFTOVER] = {"leftover", "SoftHSM left it when a write was cut short; stop what uses the "
                                    "token, then remove the file and its .lock", false},
};

const char *fault_name(enum fault f)
{
    return FAULTS[f].name;
}

bool fault_hurts(enum fault f)
{
    return FAULTS[f].hurts;
}

const char *fault_hint(enum fault f)
{
    return FAULTS[f].hint;
}

void findings_add(struct findings *l, const struct finding *f)
{
    l->count[f->fault]++;
    if (l->n == STORE_FINDINGS_MAX) return;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        struct finding *at = reallocarray(l->at, cap, sizeof *at);
        if (!at) return;
        l->at = at;
        l->cap = cap;
    }
    char *label = strdup(f->label);
    if (!label) return;
    l->at[l->n] = *f;
    l->at[l->n++].label = label;
}

bool findings_hold(const struct findings *l, const struct finding *f)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].fault == f->fault && l->at[i].version == f->version &&
            strcmp(l->at[i].label, f->label) == 0)
            return true;
    return false;
}

void findings_free(struct findings *l)
{
    for (size_t i = 0; i < l->n; i++) free((char *) l->at[i].label);
    free(l->at);
    *l = (struct findings){0};
}
