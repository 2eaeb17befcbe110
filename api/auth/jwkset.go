package auth

import (
	stdjson "encoding/json"
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
	all := &published{unfit: make(map[string]error)}
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

// parseKey reads one key (RFC 7517 section 4). If it is unfit, its name is there
// all the same.
func parseKey(value jsontext.Value) (namedKey, error) {
	var said struct {
		Kid string         `json:"kid"`
		Kty string         `json:"kty"`
		D   jsontext.Value `json:"d"`
	}
	if err := json.Unmarshal(value, &said); err != nil {
		return namedKey{}, errors.New("it is no JSON object of a key")
	}
	key := namedKey{name: said.Kid}
	switch {
	case said.Kty == "oct":
		return key, errors.New("it is a secret, and a secret that is published is none")
	case said.D != nil:
		return key, errors.New("its private part is published")
	}
	// No URL that the key names is asked for anything: GetX5U is not set.
	jwk, err := jwkset.NewJWKFromRawJSON(stdjson.RawMessage(value), jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key, err
	}
	is := jwk.Marshal()
	if is.USE != "" && is.USE != jwkset.UseSig {
		return key, fmt.Errorf("its use is %.20q; want sig", is.USE)
	}
	if len(is.KEYOPS) > 0 && !slices.Contains(is.KEYOPS, jwkset.KeyOpsVerify) {
		return key, fmt.Errorf("its key_ops are %.100q; want verify", is.KEYOPS)
	}
	if key.method, err = methodOf(jwk.Key()); err != nil {
		return key, err
	}
	if alg := key.method.Alg(); is.ALG != "" && is.ALG.String() != alg {
		return key, fmt.Errorf("its alg is %.20q; want %s for a key of its kind", is.ALG, alg)
	}
	key.key = jwk.Key()
	return key, nil
}
