"""Many rows on one cluster: each row one Job of one pod, which holds Boulder and all that it depends on."""
