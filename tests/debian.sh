# Installs Mesa's drivers from Debian, in newer versions than a release has. Source this file from the repository's root.

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages PACKAGE...: of the machine's own release.
install_packages() {
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install "$@"
}

is_bookworm() {
    [ "$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")" = bookworm ]
}

# A Debian mirror from the machine's package sources.
debian_mirror() {
    grep -ohE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 | tr -d ' '
}

# with_backports FOLDER COMMAND...: apt-get with Debian 12's backports suite and its sources, whose lists go to FOLDER.
with_backports() {
    lists=$1
    shift
    if [ ! -d "$lists/state" ]; then
        mkdir -p "$lists/state/partial" "$lists/parts"
        chmod -R a+rX "$lists"
        for kind in deb deb-src; do
            for suite in bookworm bookworm-updates bookworm-backports; do
                echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $suite main"
            done
        done >"$lists/sources.list"
        with_backports "$lists" -qq update
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o "Dir::Etc::SourceList=$lists/sources.list" \
        -o "Dir::Etc::SourceParts=$lists/parts" -o "Dir::State::Lists=$lists/state" "$@"
}

# install_mesa PACKAGE...: Debian 12 ships Mesa 22, whose software Vulkan is several times slower than Mesa 25 of its backports suite.
install_mesa() {
    if is_bookworm; then
        backports=$(mktemp -d)
        with_backports "$backports" -qq -y -t bookworm-backports install "$@"
        rm -rf "$backports"
    else
        install_packages "$@"
    fi
}

# Mesa's driver for AMD GPUs, with a library that stands in for the kernel and does nothing. The library's version must be the driver's,
# so both come from Debian 12 with its backports.
has_idle_device() {
    [ -e /usr/lib/x86_64-linux-gnu/libamdgpu_noop_drm_shim.so ] && [ -e /usr/share/vulkan/icd.d/radeon_icd.json ]
}

# make_sid FOLDER: a root folder of Debian's unstable suite with its Vulkan drivers, 825 MB.
make_sid() {
    [ ! -e "$1/usr/share/vulkan/icd.d/nouveau_icd.json" ] || return 0
    command -v debootstrap >/dev/null || install_packages debootstrap
    mkdir -p "$(dirname "$1")"
    packages=mesa-vulkan-drivers,mesa-drm-shim,vulkan-tools,vulkan-validationlayers,spirv-tools
    as_root debootstrap --variant=minbase --include=$packages sid "$1" "$(debian_mirror)" >"$1.log"
}

# in_sid FOLDER COMMAND...: runs a command in that root folder, with /proc, /dev, /tmp and the working folder of this system.
in_sid() {
    # shellcheck disable=SC2016
    as_root unshare --mount sh -euc '
        sid=$1 && shift
        for folder in /proc /dev /tmp "$PWD" ${CARGO_TARGET_DIR:+"$CARGO_TARGET_DIR"}; do
            mkdir -p "$sid$folder"
            mount --rbind "$folder" "$sid$folder"
        done
        exec chroot "$sid" env --chdir="$PWD" "$@"' sh "$@"
}
