package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The timing of fetches.
const (
	refreshEvery = time.Hour
	refreshPause = 10 * time.Second // least time between two fetches
	retryAtMost  = 5 * time.Minute  // longest pause after a failure
	fetchTimeout = 5 * time.Second
	maxSetBytes  = 256 << 10
	maxRedirects = 3
)

// A KeySet holds the keys that an issuer of tokens publishes at a URL (a JWK set, RFC 7517
// section 5). One goroutine fetches them: at the start, every hour, when asked to, and for
// a token that none of the keys may have signed. In the last case it fetches at most every
// ten seconds. After a failed fetch the keys stay as they are.
type KeySet struct {
	url     string
	client  http.Client
	notices Notices

	latest  atomic.Pointer[published]
	failure atomic.Pointer[error] // of the last fetch; nil: it succeeded
	asks    chan chan struct{}    // each is closed when a fetch is over, or refused as too early
	renew   chan struct{}         // of capacity 1: fetch now, however recent the last fetch was
	ctx     context.Context       // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Notices are the callbacks of a [KeySet]. Its goroutine calls them, so they must not wait
// for it.
type Notices struct {
	Failed  func(error) // a fetch has failed
	Changed func()      // the keys have changed
	// Panicked is called with the value of a panic during a fetch, which has then failed.
	Panicked func(v any)
}

// published is the latest set of keys. It is immutable.
type published struct {
	fetched bool
	keys    []namedKey
	unfit   map[string]error  // by name, why a key of the set cannot be used
	text    [sha256.Size]byte // hash of the text that they were read from
}

var errNotFetched = errors.New("they have not been fetched yet")

// NewKeySet returns the keys at a URL. [KeySet.Start] begins to fetch them.
func NewKeySet(url string, notices Notices) *KeySet {
	return newKeySet(url, notices, &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableKeepAlives:      true, // an hour is longer than any of them lasts
		MaxResponseHeaderBytes: 64 << 10,
	})
}

func newKeySet(url string, notices Notices, transport http.RoundTripper) *KeySet {
	ctx, stop := context.WithCancel(context.Background())
	s := &KeySet{
		url: url, notices: notices, asks: make(chan chan struct{}), renew: make(chan struct{}, 1), ctx: ctx, stop: stop,
		client: http.Client{Transport: transport, CheckRedirect: onlyToHTTPS, Timeout: fetchTimeout},
	}
	s.latest.Store(new(published))
	s.failure.Store(&errNotFetched)
	return s
}

// Start begins to fetch the keys and does not wait. A failed fetch is reported. It is
// tried again after ten seconds, then twenty, and so on up to five minutes. [KeySet.Close]
// ends it.
func (s *KeySet) Start() { s.running.Go(func() { s.run(s.ctx) }) }

// Close ends the fetching and waits for its end. The keys remain.
func (s *KeySet) Close() {
	s.stop()
	s.running.Wait()
}

// Renew fetches the keys, however recent the last fetch was.
func (s *KeySet) Renew() {
	select {
	case s.renew <- struct{}{}:
	default: // a fetch is due already
	}
}

// run fetches until ctx ends.
func (s *KeySet) run(ctx context.Context) {
	retry := refreshPause
	asked := make(chan struct{})
	for more := true; more; {
		next := refreshEvery
		if err := s.fetch(ctx); err == nil {
			retry = refreshPause
		} else if ctx.Err() == nil {
			s.notices.Failed(err)
			next, retry = retry, min(2*retry, retryAtMost)
		}
		close(asked)
		asked, more = s.rest(ctx, next)
	}
}

// rest returns when the next fetch is due, with the channel of the caller that asked for
// it, if any. It returns false after the end of ctx.
func (s *KeySet) rest(ctx context.Context, long time.Duration) (asked chan struct{}, more bool) {
	began, timer := time.Now(), time.NewTimer(long)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case <-timer.C:
			return make(chan struct{}), true
		case <-s.renew:
			return make(chan struct{}), true
		case asked := <-s.asks:
			if time.Since(began) >= refreshPause {
				return asked, true
			}
			close(asked) // the last fetch was recent enough
		}
	}
}

// refresh asks for a fetch of the keys. If wait is set it waits for the fetch, and for one
// under way before it.
func (s *KeySet) refresh(wait bool) {
	asked := make(chan struct{})
	if !wait {
		select {
		case s.asks <- asked:
		default:
		}
		return
	}
	select {
	case s.asks <- asked:
		select {
		case <-asked:
		case <-s.ctx.Done():
		}
	case <-s.ctx.Done():
	}
}

// find returns the keys of an algorithm with a name, or with any name if name is "". If
// there are none the keys are fetched again. If wait is set it waits for that, at most
// fetchTimeout. It fails if there are still none.
func (s *KeySet) find(name string, method jwt.SigningMethod, wait bool) ([]namedKey, error) {
	keys := fitting(s.latest.Load().keys, name, method)
	if len(keys) == 0 {
		s.refresh(wait)
		keys = fitting(s.latest.Load().keys, name, method)
	}
	if len(keys) == 0 {
		return nil, s.missing(name, method)
	}
	return keys, nil
}

// findOthers is [KeySet.find] for a caller that has tried some keys in vain. It returns
// the keys that a fetch brings, or none if they are the same.
func (s *KeySet) findOthers(than *published, name string, method jwt.SigningMethod) []namedKey {
	s.refresh(true)
	now := s.latest.Load()
	if now == than {
		return nil
	}
	return fitting(now.keys, name, method)
}

// missing says why there is no such key.
func (s *KeySet) missing(name string, method jwt.SigningMethod) error {
	p := s.latest.Load()
	if unfit, known := p.unfit[name]; known && name != "" {
		return fmt.Errorf("kid %.100q; the issuer's key of that name is not used: %w", name, unfit)
	}
	if failure := s.failure.Load(); failure != nil {
		return fmt.Errorf("kid %.100q; the issuer's keys are not known: %w", name, *failure)
	}
	return fmt.Errorf("kid %.100q; want one of the issuer's %d keys that is for %s", name, len(p.keys), method.Alg())
}

var errPanicked = errors.New("the broker failed to read them; its log has the reason")

// fetch fetches the keys once. Whatever an issuer sends must not end the process.
func (s *KeySet) fetch(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.notices.Panicked(v)
			err = errPanicked
			s.failure.Store(&err)
		}
	}()
	text, err := s.get(ctx)
	var now *published
	if err == nil {
		now, err = parseSet(text)
	}
	if err != nil {
		s.failure.Store(&err)
		return err
	}
	if now.text != s.latest.Load().text {
		s.latest.Store(now)
		s.notices.Changed()
	}
	s.failure.Store(nil)
	return nil
}

func (s *KeySet) get(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	w, err := s.client.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // without the URL: its query may be secret
	}
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answers with status %d", w.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(w.Body, maxSetBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxSetBytes:
		return nil, fmt.Errorf("the set has more than %d bytes", maxSetBytes)
	}
	return text, nil
}

func onlyToHTTPS(r *http.Request, via []*http.Request) error {
	switch {
	case r.URL.Scheme != "https":
		return fmt.Errorf("the issuer redirects to %.20q; want https", r.URL.Scheme)
	case len(via) > maxRedirects:
		return fmt.Errorf("the issuer redirects more than %d times", maxRedirects)
	}
	return nil
}
