package serve

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/config"
)

// tokenKeys makes checkers of tokens as the settings change. The fetcher of an issuer's
// keys is kept while its URL is the same.
type tokenKeys struct {
	log     *zap.Logger
	panics  panics
	changed chan struct{} // of capacity 1: the issuer's keys have changed
	issuer
}

// An issuer publishes keys at a URL.
type issuer struct {
	url string
	set *auth.KeySet // the keys at url; nil if url is ""
}

// newTokenKeys returns a tokenKeys without an issuer.
func newTokenKeys(log *zap.Logger, panics panics) tokenKeys {
	return tokenKeys{log: log, panics: panics, changed: make(chan struct{}, 1)}
}

// tokensOf returns the checker for the settings, nil if they have no key. It also returns
// the issuer, which must be put into use before the checker.
func (k *tokenKeys) tokensOf(jwt config.JWT, maxTopics int) (*auth.Tokens, issuer, error) {
	next := k.issuer
	if next.url != jwt.JWKSURL {
		next = k.newIssuer(jwt.JWKSURL)
	}
	if jwt.Secret == nil && len(jwt.Keys) == 0 && next.set == nil {
		return nil, next, nil
	}
	tokens, err := auth.NewTokens(auth.TokenOptions{
		Secret:     jwt.Secret,
		PublicKeys: jwt.Keys,
		KeySet:     next.set,
		Audience:   jwt.Audience,
		Issuer:     jwt.Issuer,
		Leeway:     jwt.Leeway,
		MaxAge:     jwt.MaxAge,
		MaxTopics:  maxTopics,
	})
	return tokens, next, err
}

// newIssuer returns an issuer whose keys are not fetched yet.
func (k *tokenKeys) newIssuer(url string) issuer {
	if url == "" {
		return issuer{}
	}
	return issuer{url, auth.NewKeySet(url, auth.Notices{
		Failed: func(err error) { k.log.Warn("cannot fetch the keys for tokens", zap.Error(err)) },
		Changed: func() {
			select {
			case k.changed <- struct{}{}:
			default: // it is pending already
			}
		},
		Panicked: func(v any) { k.panics.took(v, "keys of tokens") },
	})}
}

// use fetches an issuer's keys, now and when they are due. It stops fetching those of the
// previous issuer.
func (k *tokenKeys) use(next issuer) {
	before := k.issuer
	k.issuer = next
	switch {
	case next.set == nil:
	case next.set == before.set:
		next.set.Renew()
	default:
		next.set.Start()
	}
	if before.set != nil && before.set != next.set {
		before.set.Close()
	}
}

// close stops the fetching.
func (k *tokenKeys) close() { k.use(issuer{}) }

// CreateToken prints a new token and nothing else.
func CreateToken(c config.TokenCreate, stdout io.Writer) error {
	var key any = c.Key
	if c.Secret != nil {
		key = []byte(c.Secret)
	}
	now := time.Now()
	text, err := auth.NewToken{
		User: c.User, Subscribe: c.Subscribe, Publish: c.Publish, Audience: c.Audience, Issuer: c.Issuer, KeyID: c.KeyID,
		Issued: now, Expires: now.Add(c.Expires),
	}.Sign(key)
	if err == nil {
		_, err = fmt.Fprintln(stdout, text)
	}
	return err
}

// errRefused says that the broker would refuse a token. The details have been printed.
var errRefused = errors.New("the token is refused")

// maxTokenText is longer than any token.
const maxTokenText = 64 << 10

// CheckToken prints how the broker with these settings would judge a token. It fails if
// the broker would refuse it.
func CheckToken(c config.TokenCheck, stdin io.Reader, stdout io.Writer, log *zap.Logger) error {
	if c.Token == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, maxTokenText))
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		c.Token = string(text)
	}
	text := strings.TrimSpace(c.Token)
	keys := newTokenKeys(log, newPanics(log))
	defer keys.close()
	tokens, issuer, err := keys.tokensOf(c.JWT, c.MaxSubscriptions)
	if err != nil {
		return err
	}
	keys.use(issuer)
	switch {
	case tokens == nil:
		return errors.New("every token is refused: set jwt.secret_file, jwt.public_keys or jwt.jwks_url")
	}
	var denial *auth.Denial
	for _, f := range tokens.Explain(text, time.Now()) {
		verdict, what := "ok", f.Found
		switch {
		case f.Denial != nil:
			_, what, _ = strings.Cut(f.Denial.Reason, ": ")
			if verdict = "WRONG"; denial == nil {
				denial = f.Denial
			}
		case !f.Passed:
			verdict, what = "-", "not checked, because an earlier check failed"
		}
		line := strings.TrimRight(fmt.Sprintf("%-5s  %-16s  %s", verdict, f.Check, what), " ")
		if _, err := fmt.Fprintln(stdout, line); err != nil {
			return err
		}
	}
	if denial != nil {
		return fmt.Errorf("%w: a client would be told %s", errRefused, denial.Code)
	}
	_, err = fmt.Fprintln(stdout, "the token is accepted")
	return err
}
