#!/bin/sh
# Makes a certificate authority, and a certificate and key for each role of a Dask cluster.
#
#   make-certs.sh DIRECTORY [-d DAYS] [-n NAME]...
#
# DAYS   how long all of them are valid, 365 by default
# NAME   further host names or addresses of the machines (localhost and 127.0.0.1 are always in)
#
# Anybody with one of the keys can run code on the cluster. ca-key.pem signs new ones: keep it off the cluster.
set -eu
umask 077

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -ge 1 ] || usage
case $1 in -*) usage ;; esac
out=$1
shift
days=365
names="DNS:localhost,IP:127.0.0.1"
while getopts d:n: option; do
    case $option in
        d) days=$OPTARG ;;
        n) case $OPTARG in
               *[!0-9.]*) names="$names,DNS:$OPTARG" ;;
               *) names="$names,IP:$OPTARG" ;;
           esac ;;
        *) usage ;;
    esac
done

mkdir -p "$out"
cd "$out"
if [ -e ca-key.pem ]; then
    echo "$out/ca-key.pem exists already: choose another directory, or remove it to start anew" >&2
    exit 1
fi

openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days "$days" -subj "/CN=covdist cluster CA" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout ca-key.pem -out ca.pem 2>/dev/null

for role in scheduler worker client; do
    # A worker listens as well, and everyone connects.
    usage="clientAuth"
    [ "$role" = client ] || usage="serverAuth,clientAuth"
    cat > "$role.cnf" <<EOF
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=$usage
subjectAltName=$names
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
EOF
    openssl req -newkey rsa:3072 -nodes -sha256 -subj "/CN=covdist $role" \
        -keyout "$role-key.pem" -out "$role.csr" 2>/dev/null
    openssl x509 -req -sha256 -days "$days" -in "$role.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
        -extfile "$role.cnf" -out "$role.pem" 2>/dev/null
    rm "$role.csr" "$role.cnf"
done
rm -f ca.srl
chmod 644 ./*.pem
chmod 600 ./*-key.pem
echo "made ca.pem and scheduler, worker and client certificates in $out, valid for $days days"
