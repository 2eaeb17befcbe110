package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxSetKeys bounds the keys of a set: a token without a key id is tried with every key of
// its algorithm.
const maxSetKeys = 64

// parseSet reads a JWK set (RFC 7517 section 5). It leaves out keys that cannot be used,
// as the section demands. A set without other keys is valid: an issuer may withdraw all
// its keys.
func parseSet(text []byte) (*published, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New("this is not a JWK set: want one JSON object with a list of keys")
	}
	if len(set.Keys) > maxSetKeys {
		return nil, fmt.Errorf("the set has %d keys; want at most %d", len(set.Keys), maxSetKeys)
	}
	all := &published{fetched: true, text: sha256.Sum256(text), unfit: make(map[string]error)}
	for _, value := range set.Keys {
		key, err := parseKey(value)
		if err != nil {
			all.unfit[key.name] = err
			continue
		}
		all.keys = append(all.keys, key)
	}
	return all, nil
}

// A jwkView has the used members of a key (RFC 7517 section 4). Certificates (x5c, x5u,
// x5t) are ignored: the set itself is trusted, and n and e, or x and y, are the key. So a
// certificate can neither invalidate a key nor replace it.
type jwkView struct {
	Kid    string         `json:"kid,omitzero"`
	Kty    string         `json:"kty"`
	Alg    string         `json:"alg,omitzero"`
	Use    string         `json:"use,omitzero"`
	KeyOps []string       `json:"key_ops,omitzero"`
	Crv    string         `json:"crv,omitzero"`
	N      string         `json:"n,omitzero"`
	E      string         `json:"e,omitzero"`
	X      string         `json:"x,omitzero"`
	Y      string         `json:"y,omitzero"`
	D      jsontext.Value `json:"d,omitzero"`
}

// parseKey reads one key. The name is returned even if the key cannot be used.
func parseKey(value jsontext.Value) (namedKey, error) {
	var said jwkView
	if err := json.Unmarshal(value, &said); err != nil {
		return namedKey{name: said.Kid}, errors.New("it is not a JSON object of a key")
	}
	unfit := namedKey{name: said.Kid}
	switch {
	case said.Kty == "oct":
		return unfit, errors.New("it is a secret, which must not be published")
	case said.D != nil:
		return unfit, errors.New("its private part is published")
	}
	text, err := json.Marshal(&said)
	if err != nil {
		return unfit, err
	}
	jwk, err := jwkset.NewJWKFromRawJSON(text, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return unfit, err
	}
	if said.Use != "" && said.Use != string(jwkset.UseSig) {
		return unfit, fmt.Errorf("its use is %.20q; want sig", said.Use)
	}
	if len(said.KeyOps) > 0 && !slices.Contains(said.KeyOps, string(jwkset.KeyOpsVerify)) {
		return unfit, fmt.Errorf("its key_ops are %.100q; want verify", said.KeyOps)
	}
	key, err := newPublicKey(said.Kid, jwk.Key())
	if err != nil {
		return unfit, err
	}
	if alg := key.method.Alg(); said.Alg != "" && said.Alg != alg {
		return unfit, fmt.Errorf("its alg is %.20q; want %s for a key of its kind", said.Alg, alg)
	}
	return key, nil
}
