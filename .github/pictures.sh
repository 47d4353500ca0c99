#!/bin/sh
# Makes the pictures of the README: a report and a trace of specs/simple.toml, in a browser.
#   sh .github/pictures.sh
set -eu
here=$(pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cnnkit run "$here/specs/simple.toml" --out runs/simple --quiet
cnnkit trace runs/simple 0
for page in report trace; do
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$folder/browser" \
    --window-size=960,1080 --screenshot="$here/.github/$page.png" "file://$folder/runs/simple/$page.html"
done
