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

// maxSetKeys bounds the keys of a set: a token without a name is checked with
// all of its algorithm.
const maxSetKeys = 64

// parseSet reads a JWK set (RFC 7517 section 5). Keys that are of no use here are
// left out, as the section says. A set that has no other is one, too: an issuer
// may take back all its keys.
func parseSet(text []byte) (*published, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New("this is no JWK set: want one JSON object with a list of keys")
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

// A jwkView is what counts of a key (RFC 7517 section 4). The certificates that
// may come with it (x5c, x5u, x5t) are not looked at: what is trusted is the set, and
// the key is what n and e, or x and y, say. So they can neither spoil a key nor put
// another in its place.
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

// parseKey reads one key. If it is unfit, its name is there all the same.
func parseKey(value jsontext.Value) (namedKey, error) {
	var said jwkView
	if err := json.Unmarshal(value, &said); err != nil {
		return namedKey{name: said.Kid}, errors.New("it is no JSON object of a key")
	}
	unfit := namedKey{name: said.Kid}
	switch {
	case said.Kty == "oct":
		return unfit, errors.New("it is a secret, and a secret that is published is none")
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
