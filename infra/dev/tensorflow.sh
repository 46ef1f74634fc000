#!/usr/bin/env bash
# usage: tensorflow.sh DEST
# Makes DEST/lib (TensorFlow's C library), DEST/include (its C headers) and DEST/stub (a stand-in of a few KB to link
# against, with the same soname: linking takes 2 s instead of 15 s, and the real library is needed only to run).
# The library is taken out of the Python wheel of a pinned version, whose hash pip checks. A second call does nothing.
# Why a wheel: docs/adr/0004-tensorflow-from-the-wheel.md.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=2.16.2
hash=c855cb6bf05d32dd5928086b03a5f6b4189b63c22b95e017703cbee4291023ca
dest=${1:?usage: tensorflow.sh DEST}
done=.complete-$version-1 # the number counts changes of this script that need a new folder
[ -e "$dest/$done" ] && exit 0

mkdir -p "$(dirname "$dest")"
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT

say "downloading TensorFlow $version (214 MB, once)"
printf 'tensorflow-cpu==%s --hash=sha256:%s\n' "$version" "$hash" >"$work/wheel.txt"
quiet=-q
[ -t 1 ] && quiet=
# The wheel is named in full: any Python will do, its own version does not matter.
python3 -m pip download $quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --dest "$work/wheel" --requirement "$work/wheel.txt" ||
  die "pip could not download tensorflow-cpu $version; is there a network, and does pip's index have it?"

say "unpacking TensorFlow's C library (603 MB)"
python3 - "$work"/wheel/*.whl "$work/tf" <<'PY'
import os, shutil, sys, zipfile

wheel, dest = sys.argv[1:]
libs = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]
headers = [  # all that c_api.h and eager/c_api.h reach
    "tensorflow/c/c_api.h", "tensorflow/c/c_api_macros.h", "tensorflow/c/eager/c_api.h", "tensorflow/c/tf_attrtype.h",
    "tensorflow/c/tf_buffer.h", "tensorflow/c/tf_datatype.h", "tensorflow/c/tf_status.h", "tensorflow/c/tf_tensor.h",
    "tensorflow/c/tf_tstring.h", "tensorflow/core/platform/ctstring.h", "tsl/c/tsl_status.h",
    "tsl/platform/ctstring.h", "tsl/platform/ctstring_internal.h",
]
with zipfile.ZipFile(wheel) as z:
    def copy(name, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with z.open(name) as src, open(path, "wb") as dst:
            shutil.copyfileobj(src, dst, 1 << 20)
    for name in libs:
        copy("tensorflow/" + name, os.path.join(dest, "lib", name))
    for name in headers:
        copy("tensorflow/include/" + name, os.path.join(dest, "include", name))
    for name in z.namelist():  # the licence goes where the library goes
        if name.endswith(".dist-info/LICENSE") or name.endswith(".dist-info/METADATA"):
            copy(name, os.path.join(dest, "licence", os.path.basename(name)))
PY

say "building the stub to link against"
mkdir "$work/tf/stub"
nm -D --defined-only "$work"/tf/lib/libtensorflow_cc.so.2 "$work"/tf/lib/libtensorflow_framework.so.2 |
  awk '$2 == "T" && $3 ~ /^(TF_|TFE_|TSL_)/ { sub(/@.*/, "", $3); print "void " $3 "(void) {}" }' | sort -u >"$work/tf/stub/stub.c"
gcc -shared -fPIC -O0 -Wl,-soname,libtensorflow_cc.so.2 -o "$work/tf/stub/libtensorflow.so" "$work/tf/stub/stub.c"
# At run time the loader has to find the framework library through the first one.
ln -s libtensorflow_framework.so.2 "$work/tf/lib/libtensorflow_framework.so"
echo "INPUT ( libtensorflow_cc.so.2 libtensorflow_framework.so.2 )" >"$work/tf/lib/libtensorflow.so" # a linker script: for who links against the real one

touch "$work/tf/$done"
if [ -e "$dest" ]; then mv "$dest" "$work/old"; fi
mv "$work/tf" "$dest"
say "TensorFlow $version is in $dest"
