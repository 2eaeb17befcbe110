package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A NewToken has the contents of a new token.
type NewToken struct {
	User      string // "" leaves sub out
	Subscribe []string
	Publish   []string
	Audience  []string // none leaves aud out
	Issuer    string   // "" leaves iss out
	KeyID     string   // "" leaves kid out
	Issued    time.Time
	Expires   time.Time
}

// Sign makes the token. The key is a secret ([]byte, for HS256), an *rsa.PrivateKey
// (RS256), an *ecdsa.PrivateKey on P-256 (ES256) or an ed25519.PrivateKey (EdDSA). It
// fails for other keys, and for those that the broker would not accept.
func (n NewToken) Sign(key any) (string, error) {
	var method jwt.SigningMethod = jwt.SigningMethodHS256
	switch key := key.(type) {
	case []byte:
		if len(key) < minSecret {
			return "", fmt.Errorf("the secret has %d bytes; HS256 needs at least %d (RFC 7518 section 3.2)", len(key), minSecret)
		}
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		var err error
		if method, err = methodOf(key.(crypto.Signer).Public()); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("cannot sign with a %T", key)
	}
	claims := jwt.MapClaims{
		"iat": n.Issued.Unix(), "exp": n.Expires.Unix(),
		"belfry": map[string][]string{"subscribe": orEmpty(n.Subscribe), "publish": orEmpty(n.Publish)},
	}
	if n.User != "" {
		claims["sub"] = n.User
	}
	if n.Issuer != "" {
		claims["iss"] = n.Issuer
	}
	if len(n.Audience) > 0 {
		claims["aud"] = n.Audience
	}
	token := jwt.NewWithClaims(method, claims)
	if n.KeyID != "" {
		token.Header["kid"] = n.KeyID
	}
	return token.SignedString(key)
}

func orEmpty(list []string) []string { return append([]string{}, list...) }
