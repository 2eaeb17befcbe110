package api_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/api/auth"
	"belfry/hub"
)

// BenchmarkAuthorise is a publish with credentials, compared with one without. A token is
// repeated or new.
func BenchmarkAuthorise(b *testing.B) {
	guards, bearers := benchGuards(b)
	var guard *auth.Guard
	broker := newBroker(b, wide, func(_ *hub.Options, o *api.Options) {
		o.MaxDepth = 64
		o.Guard = func() *auth.Guard { return guard }
	})
	for _, name := range []string{"open", "key of 1", "key of 100", "HS256", "EdDSA", "ES256", "RS256"} {
		guard = guards[name]
		all := bearers[name]
		b.Run(name+"/again", func(b *testing.B) { benchBearers(b, broker, all[:1]) })
		if len(all) > 1 {
			b.Run(name+"/first", func(b *testing.B) { benchBearers(b, broker, all) })
		}
		if w := broker.call("POST", "/publish", benchBody, "Authorization", all[0]); w.Code != 200 {
			b.Fatal(name, w.Code, w.Body)
		}
	}
}

// benchBearers publishes with one after the other.
func benchBearers(b *testing.B, broker *broker, all []string) {
	r := httptest.NewRequest("POST", "/publish", nil)
	r.Header.Set("Content-Type", "application/json")
	body := strings.NewReader("")
	r.Body = io.NopCloser(body)
	value := r.Header["Authorization"]
	if all[0] != "" {
		value = make([]string, 1)
		r.Header["Authorization"] = value
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if value != nil {
			value[0] = all[i%len(all)]
		}
		body.Reset(benchBody)
		broker.ServeHTTP(&discard{make(http.Header)}, r)
	}
}

// benchTokens are so many of each kind that none is remembered when it comes
// again.
const benchTokens = 1100

func benchGuards(b *testing.B) (guards map[string]*auth.Guard, bearers map[string][]string) {
	guards, bearers = make(map[string]*auth.Guard), make(map[string][]string)
	add := func(name string, bearer []string, opts auth.Options) {
		guard, err := auth.New(opts)
		if err != nil {
			b.Fatal(err)
		}
		guards[name], bearers[name] = guard, bearer
	}
	add("open", []string{""}, auth.Options{Open: true})
	var keys []auth.Key
	for i := range 100 {
		sum := sha256.Sum256(fmt.Appendf(nil, "bk_%d", i))
		keys = append(keys, auth.Key{Name: "k", SHA256: sum, Rights: auth.Publish, Topics: []string{">"}})
	}
	add("key of 1", []string{"Bearer bk_0"}, auth.Options{Keys: keys[:1]})
	add("key of 100", []string{"Bearer bk_99"}, auth.Options{Keys: keys})

	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for name, key := range map[string]any{"HS256": tokenSecret, "EdDSA": ed, "ES256": ec, "RS256": long} {
		opts := auth.TokenOptions{MaxTopics: 8, Audience: []string{"belfry"}, Issuer: "https://issuer.example", Secret: tokenSecret}
		if signer, ok := key.(crypto.Signer); ok {
			opts.Secret, opts.PublicKeys = nil, []crypto.PublicKey{signer.Public()}
		}
		tokens, err := auth.NewTokens(opts)
		if err != nil {
			b.Fatal(err)
		}
		var bearer []string
		for i := range benchTokens {
			text, err := auth.NewToken{
				User: fmt.Sprint(i), Publish: []string{"orders.7.>", "cats"}, Subscribe: []string{"orders.7.>"},
				Audience: opts.Audience, Issuer: opts.Issuer, Issued: time.Now(), Expires: time.Now().Add(time.Hour),
			}.Sign(key)
			if err != nil {
				b.Fatal(err)
			}
			bearer = append(bearer, "Bearer "+text)
		}
		add(name, bearer, auth.Options{Tokens: tokens})
	}
	return guards, bearers
}
