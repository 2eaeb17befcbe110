// Package auth finds the identity of a request and its rights: anybody on this machine,
// the holder of an API key, or the holder of a token (a JWT).
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"belfry/hub"
)

// A Right is a permission.
type Right uint8

// The rights. An identity has only those that it was given.
const (
	Publish   Right = 1 << iota // publish events
	Register                    // register clients, and unregister a user's clients
	Subscribe                   // subscribe without a registration, and read history
	Admin                       // see and do everything that operators may
)

var rightNames = map[string]Right{"publish": Publish, "register": Register, "subscribe": Subscribe, "admin": Admin}

// ParseRights reads rights by their names.
func ParseRights(names []string) (all Right, err error) {
	for _, name := range names {
		right, ok := rightNames[name]
		if !ok {
			return 0, fmt.Errorf("%q is not a right; use publish, register, subscribe or admin", name)
		}
		all |= right
	}
	return all, nil
}

func (r Right) String() string {
	for name, right := range rightNames {
		if r == right {
			return name
		}
	}
	return fmt.Sprintf("Right(%d)", uint8(r))
}

// An Identity is who a request comes from, with its rights. It is immutable; [Guard.Refresh]
// returns its successor after a change.
type Identity struct {
	Name      string // of the key, or the kind of credentials; one of few
	User      string // of a token; else ""
	scope     string // see Scope
	rights    Right
	publish   []string   // patterns
	subscribe *hub.Grant // of its own connections, which it also identifies
	register  *hub.Grant // of clients that it registers
	key       *Key       // nil: not a key's
	proof     *proof     // nil: not a token's
}

// The identities without credentials: callers of an open broker, and callers at the
// operators' own address. The latter keep their rights as long as the broker runs.
var (
	everybody = newEverybody()
	operators = newEverybody()
)

func newEverybody() *Identity {
	id := &Identity{Name: "open", scope: openScope, rights: Publish | Register | Subscribe | Admin, publish: []string{">"}}
	id.subscribe = &hub.Grant{Subscribe: append([]string{">"}, hub.BrokersTopics...), Holder: id}
	id.register = id.subscribe // it ends when the broker is no longer open
	return id
}

// ByToken reports whether the identity comes from a token.
func (id *Identity) ByToken() bool { return id.proof != nil }

// Has reports whether an identity has a right for any topic. It fails with a [*Denial].
func (id *Identity) Has(r Right) error {
	if id.rights&r == 0 {
		return forbidden.because(fmt.Sprintf("%s does not have the right to %s", id.Name, r))
	}
	return nil
}

// MayPublish reports whether an identity may publish to a topic. It fails with a
// [*Denial].
func (id *Identity) MayPublish(topic string) error {
	if err := id.Has(Publish); err != nil {
		return err
	}
	if !slices.ContainsFunc(id.publish, func(p string) bool { return hub.Match(p, topic) }) {
		return forbidden.because(fmt.Sprintf("%s may not publish to this topic", id.Name))
	}
	return nil
}

// MaySubscribe reports whether an identity may subscribe to patterns by itself.
// It fails with a [*Denial].
func (id *Identity) MaySubscribe(patterns ...string) error {
	if err := id.Has(Subscribe); err != nil {
		return err
	}
	return id.MayGrant(patterns...)
}

// MayGrant reports whether an identity's own patterns cover others. It fails
// with a [*Denial].
func (id *Identity) MayGrant(patterns ...string) error {
	for _, p := range patterns {
		if !id.subscribe.Admits(p) {
			return forbidden.because(fmt.Sprintf("%s has no grant that covers the topic %q", id.Name, p))
		}
	}
	return nil
}

// Grant returns what a connection of the identity may subscribe to.
func (id *Identity) Grant() *hub.Grant { return id.subscribe }

// Allow returns what a client registered by the identity may subscribe to: the patterns,
// or all that the identity may grant if they are nil. Clients keep what a key has granted
// them.
func (id *Identity) Allow(patterns []string) *hub.Grant {
	if patterns == nil {
		return id.register
	}
	return &hub.Grant{Subscribe: patterns, Holder: id.register.Holder}
}

// A Key is an API key. Only the hash of its text is kept.
type Key struct {
	Name   string
	SHA256 [sha256.Size]byte // of its text
	Rights Right
	Topics []string // patterns that the rights are for
}

// identity returns the identity of a key. An operator sees the whole broker. But a key may
// watch who is subscribed to a topic only if its patterns cover the topic.
func (k *Key) identity() *Identity {
	subscribe := k.Topics
	if k.Rights&Admin != 0 {
		subscribe = append(slices.Clip(subscribe), hub.StatsTopic)
		for _, p := range k.Topics {
			subscribe = append(subscribe, hub.PresenceTopic+p)
		}
	}
	id := &Identity{Name: k.Name, scope: keyScope(k.Name), rights: k.Rights, publish: k.Topics, register: &hub.Grant{Subscribe: k.Topics}, key: k}
	id.subscribe = &hub.Grant{Subscribe: subscribe, Holder: id}
	return id
}

// A Denial says why a request is refused. The client is told the code and the detail; the
// reason is for the log.
type Denial struct {
	Status int    // 401 or 403
	Code   string // stable
	Detail string // what to do about it
	Reason string // what exactly is wrong
}

func (d *Denial) Error() string { return d.Code + ": " + d.Reason }

// Public returns the text for the client.
func (d *Denial) Public() string { return d.Code }

// Is makes every denial a [hub.ErrForbidden].
func (d *Denial) Is(target error) bool { return target == hub.ErrForbidden }

// because returns the denial with a reason.
func (d Denial) because(reason string) *Denial {
	d.Reason = reason
	return &d
}

// The denials that clients are told.
var (
	missing   = Denial{http.StatusUnauthorized, "credentials_missing", "send Authorization: Bearer with an API key or a token", "no credentials"}
	invalid   = Denial{http.StatusUnauthorized, "credentials_invalid", "the key or the token is not accepted; its issuer can check it with belfry token check", ""}
	expired   = Denial{http.StatusUnauthorized, "token_expired", "the token has expired; get a new one and try again", ""}
	forbidden = Denial{http.StatusForbidden, "forbidden", "the key or the token does not grant this; use one that does", ""}
	wrongHost = Denial{http.StatusForbidden, "host_not_allowed", "without keys the broker serves only the hosts localhost and public_url; configure keys to serve others", ""}
	proxied   = Denial{http.StatusForbidden, "proxied", "without keys the broker refuses requests through a proxy; configure keys to run behind one", ""}
	foreign   = Denial{http.StatusForbidden, "origin_not_allowed", "pages of this origin may not use this call; add the origin to allowed_origins if they should", ""}
)

// Options configure a [Guard].
type Options struct {
	Keys    []Key
	Tokens  *Tokens          // nil: none are accepted
	Open    bool             // there are no keys or tokens: everybody may do everything
	Local   bool             // with Open: only from this machine
	Ours    bool             // every caller is an operator as long as the broker runs
	Hosts   []string         // further names of this machine, as in a Host header
	Origins []string         // of pages that may use the broker; see [Guard.CheckOrigin]
	Clock   func() time.Time // nil is time.Now
}

// A Guard identifies requests. It is immutable.
type Guard struct {
	opts Options
	keys []*Identity // in the order of opts.Keys
	any  bool        // pages of any origin may use the broker
}

// New returns a guard. It fails for options that would refuse everybody.
func New(opts Options) (*Guard, error) {
	if len(opts.Keys) == 0 && opts.Tokens == nil && !opts.Open {
		return nil, errors.New("no keys or tokens are configured, and the broker may not be open")
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	g := &Guard{opts: opts}
	g.any = slices.Contains(opts.Origins, anyOrigin) || !g.open() && slices.Contains(opts.Origins, autoOrigin)
	for i := range opts.Keys {
		g.keys = append(g.keys, opts.Keys[i].identity())
	}
	return g, nil
}

// Refresh returns the present identity of a caller that this guard or an earlier one has
// identified. It fails with a [*Denial], the one that a new request would get, if this
// guard would refuse the caller. Every recheck of rights goes through it. It does not
// wait.
func (g *Guard) Refresh(who *Identity) (*Identity, error) {
	switch {
	case who == operators, who == everybody && g.open():
		return who, nil
	case who == everybody:
		return nil, missing.because("the broker is no longer open")
	case who.proof != nil && g.opts.Tokens != nil:
		return g.opts.Tokens.refresh(who, g.opts.Clock())
	case who.proof != nil:
		return nil, invalid.because("tokens are no longer configured")
	}
	for i := range g.opts.Keys {
		if g.opts.Keys[i].SHA256 == who.key.SHA256 {
			return g.keys[i], nil
		}
	}
	return nil, invalid.because("the key was removed")
}

// Regrant returns what has become of a grant. It is the [hub.Changes].
func (g *Guard) Regrant(old *hub.Grant) *hub.Grant {
	before := old.Holder.(*Identity)
	now, err := g.Refresh(before)
	switch {
	case err != nil || now.Has(Subscribe) != nil:
		return nil
	case now == before:
		return old // the new one may be a part of it
	}
	return now.subscribe
}

// open reports whether credentials are unnecessary.
func (g *Guard) open() bool { return len(g.opts.Keys) == 0 && g.opts.Tokens == nil }

// Everybody returns the identity of callers of an open broker, or nil if the broker is not
// open.
func (g *Guard) Everybody() *Identity {
	switch {
	case !g.open():
		return nil
	case g.opts.Ours:
		return operators
	}
	return everybody
}

// Identify returns the identity of a request. It fails with a [*Denial].
func (g *Guard) Identify(r *http.Request) (*Identity, error) {
	if who := g.Everybody(); who != nil {
		return who, nil
	}
	text, err := credentials(r)
	if err != nil {
		return nil, err
	}
	return g.Check(text)
}

// Check returns the identity of a key or a token. It fails with a [*Denial].
func (g *Guard) Check(text string) (*Identity, error) {
	if len(text) > maxCredentials {
		return nil, invalid.because("the credentials are too long")
	}
	if strings.Count(text, ".") == 2 {
		if g.opts.Tokens == nil {
			return nil, invalid.because("tokens are not configured")
		}
		return g.opts.Tokens.check(text, g.opts.Clock())
	}
	sum := sha256.Sum256([]byte(text))
	var found *Identity
	for i := range g.opts.Keys {
		if subtle.ConstantTimeCompare(sum[:], g.opts.Keys[i].SHA256[:]) == 1 {
			found = g.keys[i]
		}
	}
	if found == nil {
		return nil, invalid.because("not a known key, and not a token of three parts")
	}
	return found, nil
}
