#!/bin/sh
# deliver.sh DIRECTORY: makes the checkout in the working directory, from the git pack that lies in pieces in DIRECTORY: its files, and a
# .git with one commit.
# TREE: the files. INDEX: what is staged. COMMIT: HEAD; without one the checkout is in no repository.
set -eu

git init --quiet .
cat "$1"/* | git index-pack --stdin >/dev/null
git read-tree "$TREE"
git checkout-index --all
if [ -n "$COMMIT" ]; then
  echo "$COMMIT" >.git/shallow # its parents are not here
  git update-ref --no-deref HEAD "$COMMIT"
  git read-tree "$INDEX"
  git update-index -q --refresh || true # what differs is what the user has changed
else
  rm -r .git
fi
