package api

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"belfry/api/auth"
	"belfry/api/limit"
)

// The problems of callers that exceed a limit.
var (
	tooManyPublishes  = kind{"too_many_publishes", 429, ""}           // faster than max_publish_rate, the key's rate or max_user_publish_rate
	tooManyHandshakes = kind{"too_many_handshakes", 429, ""}          // faster than max_address_handshakes
	tooManyOfAddress  = kind{"too_many_address_connections", 429, ""} // max_address_connections are open
	overCapacity      = kind{"over_capacity", 503, ""}                // max_memory is reached, or max_handshakes
)

// refusalProblem is what a client is told about a refusal.
func refusalProblem(r *limit.Refusal) *problem {
	var p *problem
	switch r.Limit {
	case limit.PublishRate, limit.UserPublishRate:
		p = tooManyPublishes.because("events are published faster than " + r.Limit.String() + " or the key's rate permits; this one was not published, send it again after a pause")
	case limit.AddressHandshakes:
		p = tooManyHandshakes.because("connections are opened faster than max_address_handshakes permits for one address; try again after a pause")
	case limit.AddressConnections:
		p = tooManyOfAddress.because("the address has reached max_address_connections; close some connections, or try again later")
	default:
		p = overCapacity.because("the broker has reached " + r.Limit.String() + "; try again after a pause, or try another one")
	}
	return p.with("Retry-After", []string{strconv.Itoa(max(1, limit.Seconds(r.After)))})
}

// limitsOf maps codes of other problems to the limit that they are about.
var limitsOf = map[string]limit.Limit{
	tooManyClients.code:  limit.Clients,
	tooManyOfUser.code:   limit.UserClients,
	tooManyConns.code:    limit.Connections,
	tooManyTopics.code:   limit.Subscriptions,
	payloadTooLarge.code: limit.Body,
	messageTooLarge.code: limit.Message,
	tooDeep.code:         limit.Depth,
}

// memoryPause is the pause before another try if memory is short. Others may have gone by
// then.
const memoryPause = 5 * time.Second

// needOf returns the need of a publisher.
func needOf(who *auth.Identity) limit.Need {
	if who.ByToken() {
		return limit.ToPublish
	}
	return limit.ToPublishByKey
}

// checkMemory fails if there is too little memory for a need.
func (s *Server) checkMemory(n limit.Need) error {
	if s.opts.Overloaded(n) {
		return s.opts.Gate.Refuse(limit.Memory, memoryPause)
	}
	return nil
}

// enter admits a caller that begins a connection, before anything expensive is done for
// it. It sets x.leave, which is called when the request has ended or, if a transport took
// it over, when the connection has ended.
func (s *Server) enter(x *exchange) error {
	err := s.checkMemory(limit.ToBegin)
	if err == nil {
		x.leave, err = s.opts.Gate.Enter(s.opts.Gate.Client(x.r), isShared(x.r))
	}
	return err
}

// isShared reports whether a request shares its connection with others (RFC 9113 section
// 5).
func isShared(r *http.Request) bool { return r.ProtoMajor >= 2 }

// remote returns the address of a request for the log.
func (s *Server) remote(r *http.Request) string {
	if c := s.opts.Gate.Client(r); c.Forwarded {
		return c.Addr.String()
	}
	return r.RemoteAddr
}

// tellEnd calls a function when a connection has ended, or at once if the writer cannot
// report that.
func tellEnd(conn net.Conn, leave func()) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if c, ok := conn.(interface{ OnClose(func()) }); ok {
		c.OnClose(leave)
	} else {
		leave()
	}
}

// takeQuota takes n events from the caller's quota, or none and reports false.
func (s *Server) takeQuota(who *auth.Identity, n int) (limit.QuotaStatus, bool) {
	switch {
	case who.ByToken():
		return s.opts.Publishers.User(who.Scope(), n)
	case who.ByKey():
		return s.opts.Publishers.Key(who.Name, n)
	}
	return s.opts.Publishers.Everybody(n)
}

// spendQuota spends quota where no rate-limit headers can be sent.
func (s *Server) spendQuota(who *auth.Identity, n int) error {
	if status, ok := s.takeQuota(who, n); !ok {
		return s.opts.Gate.Refuse(status.Limit, status.Wait)
	}
	return nil
}

// spendRequestQuota takes n more events from the caller's quota and sets the rate-limit
// headers. Of a list, one event is taken before the list is read, and the rest when their
// number is known. After a refusal of the rest the pause is long enough for the longest
// list, because the first event is already spent.
func (s *Server) spendRequestQuota(x *exchange, n, taken int) error {
	status, ok := s.takeQuota(x.who, n)
	if status.Policy != nil {
		header := x.Header()
		header["Ratelimit-Policy"] = status.Policy
		header["Ratelimit"] = []string{status.Header()}
	}
	switch {
	case status.Burst > 0 && taken+n > status.Burst: // however long it took to read
		return listTooLong.because(fmt.Sprintf("the list has %d events, and %v or the key's rate permits %d at once; send shorter ones, or a stream", taken+n, status.Limit, status.Burst))
	case ok:
		return nil
	}
	return s.opts.Gate.Refuse(status.Limit, status.Full)
}

// countRefusal counts a problem if it is about a limit of the hub or of reading the
// request. Other refusals are counted where they occur.
func (s *Server) countRefusal(p *problem) {
	if l, ok := limitsOf[p.code]; ok {
		s.opts.Gate.Count(l)
	}
}

// toldInBand notes an error that was reported inside a response with status 200.
func (s *Server) toldInBand(x *exchange, invalid error) {
	if invalid == nil {
		return
	}
	s.logDenial(x, invalid)
	p, _ := problemOf(invalid)
	s.countRefusal(p)
}
