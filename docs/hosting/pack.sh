#!/bin/sh
# pack.sh space FOLDER   the repository as a Hugging Face Space wants it
# pack.sh cloud FOLDER   the repository as Streamlit Community Cloud wants it
# The last commit, in a new folder, with what that host looks for: docs/deploy.md tells what to do with it.
set -eu
kind=${1:-} folder=${2:-}
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
case "$kind" in space | cloud) ;; *) echo "pack.sh space FOLDER, or pack.sh cloud FOLDER" >&2; exit 2 ;; esac
[ -n "$folder" ] && mkdir "$folder"
git -C "$root" archive HEAD | tar -x -C "$folder"
cd "$folder"
if [ "$kind" = space ]; then
    mv README.md docs/README-of-the-project.md
    cp docs/hosting/space/README.md README.md
    echo '*.safetensors filter=lfs diff=lfs merge=lfs -text' > .gitattributes  # the Hub takes no large file otherwise
else
    cp docs/hosting/cloud/packages.txt packages.txt
    { echo '--extra-index-url https://download.pytorch.org/whl/cpu'; cat requirements.txt; } > requirements.new
    sed 's/^torch==\(.*\)$/torch==\1+cpu/' requirements.new > requirements.txt
    rm requirements.new
fi
