package api

import (
	"errors"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/api/limit"
	"belfry/hub"
)

// A kind is one sort of problem. Its code is stable: programs may depend on it.
type kind struct {
	code       string
	status     int
	retryAfter string // seconds, RFC 9110 section 10.2.3; "" leaves the header out
}

// The kinds of problems: every code that the HTTP interface answers with.
var (
	malformedJSON    = kind{"malformed_json", 400, ""}           // the body is not one JSON object, or holds a name twice, or is not UTF-8
	tooDeep          = kind{"too_deep", 400, ""}                 // the body nests deeper than max_depth
	unknownMember    = kind{"unknown_member", 400, ""}           // the body has a member that the call does not know
	malformedRequest = kind{"malformed_request", 400, ""}        // the query, the Host, or how the body arrived
	invalidTopic     = kind{"invalid_topic", 400, ""}            // missing, of another type, or not well-formed
	invalidUserID    = kind{"invalid_user_id", 400, ""}          // missing, or neither an integer nor a string of 1 to 255 bytes
	invalidClientID  = kind{"invalid_client_id", 400, ""}        // missing or not a string
	invalidMessage   = kind{"invalid_message", 400, ""}          // missing
	invalidCursor    = kind{"invalid_cursor", 400, ""}           // not a cursor's text
	invalidID        = kind{"invalid_id", 400, ""}               // not a text of 1 to 255 bytes
	invalidExpiry    = kind{"invalid_expires_in", 400, ""}       // not a time to live in its range
	invalidEvent     = kind{"invalid_event", 400, ""}            // an attribute of a CloudEvent
	invalidKey       = kind{"invalid_idempotency_key", 400, ""}  // not 1 to 255 printable characters, or of a stream
	invalidSlow      = kind{"invalid_slow", 400, ""}             // not a policy for slow clients
	keyReused        = kind{"idempotency_key_reused", 422, ""}   // something else was published under the key
	tooManyKeys      = kind{"too_many_keys", 503, "10"}          // dedupe_bytes are in use
	invalidLast      = kind{"invalid_last", 400, ""}             // not a number in its range
	invalidWait      = kind{"invalid_wait", 400, ""}             // not a duration in its range
	conflictingInput = kind{"conflicting_input", 400, ""}        // the same thing said twice, differently
	badHandshake     = kind{"bad_handshake", 400, ""}            // not a WebSocket handshake as of RFC 6455
	originNotAllowed = kind{"origin_not_allowed", 403, ""}       // a page of an origin that is not in allowed_origins
	topicReserved    = kind{"topic_reserved", 403, ""}           // a topic that begins with '$'
	notFound         = kind{"not_found", 404, ""}                // no such path
	unknownClient    = kind{"unknown_client", 404, ""}           // never registered, unregistered or expired
	methodNotAllowed = kind{"method_not_allowed", 405, ""}       // the path has other methods, see Allow
	requestTimeout   = kind{"request_timeout", 408, ""}          // the body did not arrive in time
	gap              = kind{"gap", 410, ""}                      // some events after the cursor are no longer retained
	payloadTooLarge  = kind{"payload_too_large", 413, ""}        // the body is larger than max_body
	messageTooLarge  = kind{"message_too_large", 413, ""}        // the message is larger than max_message
	listTooLong      = kind{"list_too_long", 413, ""}            // the list has more events than the rate permits at once
	unsupportedMedia = kind{"unsupported_media_type", 415, ""}   // the body's Content-Type or Content-Encoding
	tooManyTopics    = kind{"too_many_topics", 422, ""}          // more than max_subscriptions
	upgradeRequired  = kind{"upgrade_required", 426, ""}         // a request without a WebSocket handshake, see Upgrade
	handshakeRefused = kind{"handshake_refused", 0, ""}          // refused by the transport, with a status of its own
	internalError    = kind{"internal", 500, ""}                 // a fault of the broker; its log has the request id
	busy             = kind{"busy", 503, "1"}                    // no room for the event in time; it was not published
	tooManyClients   = kind{"too_many_clients", 503, "10"}       // max_clients are registered
	tooManyOfUser    = kind{"too_many_user_clients", 429, "10"}  // max_user_clients of the user are registered or connected
	tooManyConns     = kind{"too_many_connections", 503, "10"}   // max_connections are open
	commitFailed     = kind{"commit_failed", 503, "1"}           // the log did not answer in time; the event may be published
	notStored        = kind{"not_stored", 503, "1"}              // the log could not be written; the event is not published
	keyPending       = kind{"idempotency_key_pending", 409, "1"} // a publish with the same key is under way
	draining         = kind{"draining", 503, "5"}                // the broker is shutting down
	stopped          = kind{"stopped", 503, "5"}                 // the broker has stopped
	notReady         = kind{"not_ready", 503, "1"}               // the broker is starting or shutting down
	unresponsive     = kind{"unresponsive", 503, "1"}            // the hub did not answer in time
)

// A problem is an error as a client is told of it (RFC 9457).
type problem struct {
	kind
	detail string      // what happened, then what to do
	header http.Header // further headers of the response; may be nil
	lost   *hub.Gap    // the gap in question; else nil
	index  *int        // of the wrong element of a list; else nil
}

func (p *problem) Error() string { return p.code + ": " + p.detail }

// because returns a problem of the kind.
func (k kind) because(detail string) *problem { return &problem{kind: k, detail: detail} }

// with adds a header to the response.
func (p *problem) with(name string, value []string) *problem {
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header[name] = value
	return p
}

// Refusal returns the code and the detail for a client of a connection.
func (p *problem) Refusal() (code, detail string) { return p.code, p.detail }

var errPanicked = errors.New("a goroutine of the request has panicked")

// hubProblems maps the hub's errors to problems.
var hubProblems = []struct {
	err error
	*problem
}{
	{hub.ErrUnknownClient, unknownClient.because("there is no client with this id, or it has expired; register again")},
	{hub.ErrTooManyTopics, tooManyTopics.because("the client would exceed max_subscriptions; remove a topic first, or subscribe to a pattern such as orders.*")},
	{hub.ErrBusy, busy.because("the broker had no room for the event in time, and did not publish it; send it again after a pause")},
	{hub.ErrTooManyClients, tooManyClients.because("max_clients is reached; try again later, and unregister clients that are not needed")},
	{hub.ErrKeyReused, keyReused.because("something else was published under the same key, or the same source and id; use a key for one publish only")},
	{hub.ErrUnsure, commitFailed.because("the log did not answer in time, and the event may have been published; a repeat with its key finds that out")},
	{hub.ErrNotStored, notStored.because("the log could not be written, and the event was not published; send it again after a pause")},
	{hub.ErrKeyPending, keyPending.because("a publish with the same key is under way; send it again after a pause, to get its receipt")},
	{hub.ErrTooManyKeys, tooManyKeys.because("the remembered keys have reached dedupe_bytes; publish again later, or without a key")},
	{hub.ErrTooManyUserClients, tooManyOfUser.because("the user has reached max_user_clients; try again later, and unregister clients that are not needed")},
	{hub.ErrTooManyConnections, tooManyConns.because("max_connections is reached; try again later")},
	{hub.ErrForbidden, kind{"forbidden", 403, ""}.because("the client may not subscribe to this topic; its registration must allow it")},
	{hub.ErrDraining, draining.because("the broker is shutting down; try again, or try another one")},
	{hub.ErrClosed, stopped.because("the broker has stopped; try again, or try another one")},
}

// problemOf returns the problem that a client sees of an error; ok is false if the error
// is internal.
func problemOf(err error) (p *problem, ok bool) {
	if p, ok := errors.AsType[*problem](err); ok {
		return p, true
	}
	if refusal, ok := errors.AsType[*limit.Refusal](err); ok {
		return refusalProblem(refusal), true
	}
	if topic, ok := errors.AsType[*hub.TopicError](err); ok {
		if topic.Reserved {
			return topicReserved.because(topic.Error() + "; choose another name"), true
		}
		return invalidTopic.because(topic.Error()), true
	}
	if denial, ok := errors.AsType[*auth.Denial](err); ok {
		p := kind{denial.Code, denial.Status, ""}.because(denial.Detail)
		if p.status == http.StatusUnauthorized {
			p = p.with("Www-Authenticate", bearer)
		}
		return p, true
	}
	if lost, ok := errors.AsType[*hub.GapError](err); ok {
		p := gap.because(lost.Error() + "; reload your state, and continue without a cursor")
		p.lost = &lost.Gap
		return p, true
	}
	for _, h := range hubProblems {
		if errors.Is(err, h.err) {
			return h.problem, true
		}
	}
	if refusal, ok := errors.AsType[refusedHandshake](err); ok {
		return handshakeProblem(refusal), true
	}
	return internalError.because("the broker failed; its log has the reason under the request id"), false
}

// A problemDocument is the body of an error response (RFC 9457 section 3). Its type is
// always about:blank, so status and code carry the meaning.
type problemDocument struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Index     *int   `json:"index,omitzero"` // in the list of the request
	*gapMembers
}

// gapMembers are the further members of the document of a gap.
type gapMembers struct {
	Topics []string `json:"topics"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	Reason string   `json:"reason"`
}

// logDenial logs the exact reason of a denial. The client is told only a code.
func (s *Server) logDenial(x *exchange, err error) {
	denial, ok := errors.AsType[*auth.Denial](err)
	if !ok {
		return
	}
	s.denials.Info("denied", zap.String("code", denial.Code), zap.String("reason", denial.Reason),
		zap.String("route", x.route.pattern), zap.String("request_id", x.id), zap.String("remote", s.remote(x.r)))
}

// fail answers with an error.
func (s *Server) fail(x *exchange, err error) {
	p, ok := problemOf(err)
	s.logDenial(x, err)
	s.countRefusal(p)
	if !ok && err != errPanicked {
		s.opts.Log.Error("request failed", zap.Error(err), zap.String("route", x.route.pattern), zap.String("request_id", x.id))
	}
	if x.status != 0 {
		return // the handler has answered already
	}
	header := x.Header()
	for name, values := range p.header {
		header[name] = values
	}
	header["Content-Type"] = contentProblem
	header["Cache-Control"] = noStore
	if p.retryAfter != "" {
		header["Retry-After"] = []string{p.retryAfter}
	}
	x.out.Reset()
	document := problemDocument{
		Type:      "about:blank",
		Title:     http.StatusText(p.status),
		Status:    p.status,
		Detail:    strings.ToValidUTF8(p.detail, "\uFFFD"),
		Code:      p.code,
		RequestID: x.id,
		Index:     p.index,
	}
	if g := p.lost; g != nil {
		document.gapMembers = &gapMembers{g.Topics, g.From.String(), g.To.String(), g.Reason.String()}
	}
	err = x.encode(document)
	x.WriteHeader(p.status)
	if err == nil { // always, for strings that are UTF-8
		_, _ = x.Write(x.out.Bytes())
	}
}
