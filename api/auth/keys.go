package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// The sizes of keys: below the least a key is weak (RFC 7518 sections 3.2 and
// 3.3), above the most checking a signature takes long.
const (
	minSecret = 32   // bytes
	minRSA    = 2048 // bits
	maxRSA    = 8192
)

// publicMethods are the algorithms whose keys may be published.
var publicMethods = []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA}

// A namedKey verifies signatures of one algorithm.
type namedKey struct {
	name   string // its kid; "" if it has none
	method jwt.SigningMethod
	key    any               // a crypto.PublicKey, or the secret of HS256
	print  [sha256.Size]byte // by which it is known again; the key itself need not be kept for that
}

// newPublicKey returns a public key for the one algorithm that it is used with. It
// fails for keys that are too weak or of another kind.
func newPublicKey(name string, key crypto.PublicKey) (namedKey, error) {
	method, err := methodOf(key)
	if err != nil {
		return namedKey{name: name}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	return namedKey{name, method, key, sha256.Sum256(der)}, err
}

// fits reports whether a key is one of an algorithm and, unless it is "", of a name.
func (k *namedKey) fits(name string, method jwt.SigningMethod) bool {
	return k.method == method && (name == "" || name == k.name)
}

// fitting returns the keys of an algorithm and, unless it is "", of a name.
func fitting(all []namedKey, name string, method jwt.SigningMethod) (keys []namedKey) {
	for i := range all {
		if all[i].fits(name, method) {
			keys = append(keys, all[i])
		}
	}
	return keys
}

// methodOf returns the one algorithm that a public key is used with. It fails
// for keys that are too weak or of another kind.
func methodOf(key crypto.PublicKey) (jwt.SigningMethod, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("an RSA key of %d bits; want %d to %d", bits, minRSA, maxRSA)
		}
		return jwt.SigningMethodRS256, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("a key on the curve %s; want P-256", key.Curve.Params().Name)
		}
		return jwt.SigningMethodES256, nil
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return jwt.SigningMethodEdDSA, nil
		}
	}
	return nil, fmt.Errorf("a key of type %T; want RSA, P-256 or Ed25519", key)
}
