#!/usr/bin/env bash
# Makes the base of the image where no image can be pulled: Debian 13, from the mirror that this Debian's apt uses.
#
#     kubeflow/base_image.sh [NAME]        # NAME is debian:trixie-slim unless told, which kubeflow/Dockerfile builds on
#
# Run it as root. Starts Debian's own dockerd (apt-get install docker.io debootstrap) if no engine answers.
set -euo pipefail

name=${1:-debian:trixie-slim}
log=/var/log/dockerd-higgs.log

for command in docker debootstrap; do
    command -v "$command" > /dev/null || {
        echo "A base image needs $command. Received: none. Run apt-get install docker.io debootstrap." >&2
        exit 2
    }
done

if ! docker info > /dev/null 2>&1; then
    # No bridge and no firewall rules: builds and runs use the host's network, which works inside containers as well.
    nohup dockerd --iptables=false --bridge=none > "$log" 2>&1 &
    for _ in $(seq 60); do
        docker info > /dev/null 2>&1 && break
        sleep 0.5
    done
    docker info > /dev/null 2>&1 || {
        echo "A build needs a Docker engine. Received: dockerd ended; see $log. Start one yourself." >&2
        exit 2
    }
fi

mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "main" { print $3; exit }')
[ -n "$mirror" ] || {
    echo "A base image is made from apt's Debian mirror. Received: none in its sources. Run apt-get update first." >&2
    exit 2
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=ca-certificates trixie "$folder" "$mirror" > "$folder.log"
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/* "$folder"/usr/share/{doc,man,locale}/*
tar --create --numeric-owner --directory "$folder" . | docker import --message "debootstrap trixie" - "$name"
rm -f "$folder.log"
