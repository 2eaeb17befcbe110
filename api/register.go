package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"belfry/api/auth"
	"belfry/api/limit"
	"belfry/hub"
)

func init() {
	// Read randomness for 16 ids at once.
	uuid.EnableRandPool()
}

// A registerRequest is the body of POST /register.
type registerRequest struct {
	User   userID   `json:"user_id"`
	Topic  *string  `json:"topic"`
	Topics []string `json:"topics"` // empty: none; nil (missing or null): the default
	Allow  []string `json:"allow"`  // nil: all that the caller may grant
}

// A registration has what a client needs to connect.
type registration struct {
	URL       string `json:"url"`
	Path      string `json:"path"`
	ClientID  string `json:"client_id"`
	ExpiresAt string `json:"expires_at"` // if it has not connected by then; RFC 3339
}

func (s *Server) postRegister(x *exchange) (any, error) {
	if err := s.checkMemory(limit.ToBegin); err != nil {
		return nil, err
	}
	want, err := s.registration(x)
	if err != nil {
		return nil, err
	}
	base, err := s.socketBase(x.r)
	if err != nil {
		return nil, err
	}
	done, err := s.opts.Hub.Register(want)
	if err != nil {
		return nil, err
	}
	x.Header()["Cache-Control"] = noStore
	path := "/ws/" + want.ID.String()
	return &registration{
		URL:       base + path,
		Path:      path,
		ClientID:  want.ID.String(),
		ExpiresAt: done.ExpiresAt.UTC().Format(time.RFC3339),
	}, nil
}

// registration reads the client to register.
func (s *Server) registration(x *exchange) (hub.Registration, error) {
	body, err := x.body()
	if err == nil {
		err = s.refresh(&x.caller, has(auth.Register)) // reading the body may take a while
	}
	if err != nil {
		return hub.Registration{}, err
	}
	var req registerRequest
	if err := decode(body, &req, x.limits.MaxDepth, "user_id, topic, topics and allow"); err != nil {
		return hub.Registration{}, err
	}
	if req.User == "" {
		return hub.Registration{}, errNoUser
	}
	topics, err := x.topicsOf(&req)
	if err != nil {
		return hub.Registration{}, err
	}
	grant, err := x.grant(req.Allow, topics)
	if err != nil {
		return hub.Registration{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return hub.Registration{}, fmt.Errorf("make a client id: %w", err)
	}
	return hub.Registration{ID: hub.ID(id), User: string(req.User), Topics: topics, Grant: grant}, nil
}

// grant returns what a registered client may subscribe to: the patterns of the request,
// which the caller's own grant must cover, or all that the caller may grant.
func (x *exchange) grant(allow, topics []string) (*hub.Grant, error) {
	if allow != nil {
		if err := x.checkTopics(allow, false); err != nil {
			return nil, err
		}
		if err := x.who.MayGrant(allow...); err != nil {
			return nil, err
		}
	}
	grant := x.who.Allow(allow)
	for _, name := range topics {
		if !grant.Admits(name) {
			return nil, hub.ErrForbidden
		}
	}
	return grant, nil
}

// topicsOf returns the topics of a registration.
func (x *exchange) topicsOf(req *registerRequest) ([]string, error) {
	topics := req.Topics
	switch {
	case req.Topic != nil && topics != nil:
		return nil, conflictingInput.because("topic and topics are both given; send one of them")
	case req.Topic != nil:
		topics = []string{*req.Topic}
	case topics == nil:
		return x.limits.DefaultTopics, nil
	}
	return topics, x.checkTopics(topics, false)
}

// checkTopics checks a list of topics to subscribe to. It may allow the broker's own
// topics.
func (x *exchange) checkTopics(topics []string, reserved bool) error {
	if len(topics) > x.limits.MaxTopics {
		return tooManyTopics.because(fmt.Sprintf("%d topics are listed; list at most %d, or subscribe to a pattern such as orders.*", len(topics), x.limits.MaxTopics))
	}
	for _, name := range topics {
		if err := hub.CheckPattern(name); err != nil && !(reserved && hub.ForOperators(name)) {
			return err
		}
	}
	return nil
}

// socketBase returns the URL that a client's path is appended to: the configured one, or
// the one that this request used.
func (s *Server) socketBase(r *http.Request) (string, error) {
	if base := strings.TrimRight(s.opts.PublicURL, "/"); base != "" {
		if rest, ok := strings.CutPrefix(base, "http"); ok {
			base = "ws" + rest
		}
		return base, nil
	}
	if !isHost(r.Host) {
		return "", malformedRequest.because("the request names no usable host; send a Host header, or configure public_url")
	}
	if r.TLS != nil || s.opts.Gate.Client(r).Secure {
		return "wss://" + r.Host, nil
	}
	return "ws://" + r.Host, nil
}

// isHost reports whether s is a host name or address, perhaps with a port. It comes from
// the client and becomes part of a URL.
func isHost(s string) bool {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		address, port, ok := strings.Cut(rest, "]")
		return ok && isMadeOf(address, ":.") && (port == "" || port[0] == ':' && isPort(port[1:]))
	}
	name, port, hasPort := strings.Cut(s, ":")
	return len(name) <= 253 && isMadeOf(name, "-._") && (!hasPort || isPort(port))
}

func isPort(s string) bool {
	return len(s) >= 1 && len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}

// isMadeOf reports whether s consists of letters, digits and the characters of others,
// with at least one letter or digit.
func isMadeOf(s, others string) bool {
	return strings.Trim(s, others) != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c >= 0x80 || !isAlphanumeric(byte(c)) && !strings.ContainsRune(others, c)
	})
}

// A removal answers DELETE /register/{client_id}.
type removal struct {
	Removed bool `json:"removed"`
}

// A removals answers DELETE /users/{user_id}/clients.
type removals struct {
	Removed int `json:"removed"`
}

// deleteUserClients unregisters all clients of a user.
func (s *Server) deleteUserClients(x *exchange) (any, error) {
	removed, err := s.opts.Hub.UnregisterUser(x.param("user_id"))
	if err != nil {
		return nil, err
	}
	return removals{removed}, nil
}

// deleteRegister answers 200 even if the text is not an id: no such client exists, which
// is the desired result.
func (s *Server) deleteRegister(x *exchange) (any, error) {
	id, ok := hub.ParseID(x.param("client_id"))
	if !ok {
		return removal{}, nil
	}
	removed, err := s.opts.Hub.Unregister(id)
	if err != nil {
		return nil, err
	}
	return removal{removed}, nil
}
