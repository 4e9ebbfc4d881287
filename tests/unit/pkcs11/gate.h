/* Holds threads until a test lets them go: a call that hangs, in tests of what becomes of it. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int gate_waiting;

static inline void gate_set(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static inline void gate_pass(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_waiting++;
    pthread_cond_broadcast(&gate_changed);
    while (!gate_open) pthread_cond_wait(&gate_changed, &gate_lock);
    gate_waiting--;
    pthread_mutex_unlock(&gate_lock);
}

static inline void gate_await(int waiting)
{
    pthread_mutex_lock(&gate_lock);
    while (gate_waiting < waiting) pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

/* For counts that other threads raise. */
static inline void gate_add(int *count)
{
    pthread_mutex_lock(&gate_lock);
    (*count)++;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static inline void gate_await_count(const int *count, int wanted)
{
    pthread_mutex_lock(&gate_lock);
    while (*count < wanted) pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static inline int gate_count(const int *count)
{
    pthread_mutex_lock(&gate_lock);
    int n = *count;
    pthread_mutex_unlock(&gate_lock);
    return n;
}
