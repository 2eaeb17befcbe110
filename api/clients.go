package api

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"belfry/hub"
)

// Operators see a client's handle, not its id: with the id one could connect as the
// client.

// A clientView is a client as operators see it.
type clientView struct {
	Handle      string   `json:"handle"`
	User        string   `json:"user_id,omitzero"`
	State       string   `json:"state"` // new, away, reading or live
	Topics      []string `json:"topics"`
	Registered  bool     `json:"registered"` // it can reconnect by its URL
	Connections int      `json:"connections"`
	Since       string   `json:"since"` // when it connected; otherwise when it disconnected or was registered
	Cursor      string   `json:"cursor,omitzero"`
	Behind      uint64   `json:"behind"` // events of the log, of any topic, that it has not reached
	ExpiresAt   string   `json:"expires_at,omitzero"`
	LastClose   string   `json:"last_close_reason,omitzero"`
	*connView
}

// A connView is a connection as operators see it.
type connView struct {
	Protocol   string `json:"protocol"`
	Address    string `json:"address"`
	QueueBytes int    `json:"queue_bytes"`
	Blocked    bool   `json:"blocked"` // its socket is full
}

// clientsView answers GET /clients.
type clientsView struct {
	Clients []clientView `json:"clients"`
	Next    string       `json:"next,omitzero"` // for after; left out on the last page
}

// inspectTimeout bounds how long an operator's request waits for couriers.
const inspectTimeout = 2 * time.Second

// views returns clients as operators see them.
func (s *Server) views(ctx context.Context, infos []hub.ClientInfo) []clientView {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	conns := make([]*hub.Conn, len(infos))
	for i := range infos {
		conns[i] = infos[i].Conn
	}
	found := s.opts.Transport.Inspect(ctx, conns)
	views := make([]clientView, len(infos))
	for i, info := range infos {
		v := clientView{
			Handle: info.Handle.String(), User: info.User, State: info.State, Topics: info.Topics, Registered: !info.Ephemeral,
			Connections: info.Connected, Since: info.Since.UTC().Format(time.RFC3339), Behind: uint64(info.Behind),
		}
		if info.Position != (hub.Cursor{}) {
			v.Cursor = info.Position.String()
		}
		if !info.Expires.IsZero() {
			v.ExpiresAt = info.Expires.UTC().Format(time.RFC3339)
		}
		if info.HasEnded {
			v.LastClose = info.Ended.String()
		}
		if info.Conn != nil {
			v.connView = &connView{found[i].Protocol, found[i].Address, found[i].QueueBytes, found[i].Blocked}
		}
		views[i] = v
	}
	return views
}

// page reads the limit and the start of a page from the query.
func (x *exchange) page() (query url.Values, after uint64, limit int, err error) {
	const standard, most = 100, 1000
	x.Header()["Cache-Control"] = noStore
	if query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return nil, 0, 0, errQuery
	}
	limit = standard
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > most {
			return nil, 0, 0, malformedRequest.because(fmt.Sprintf("limit must be a whole number from 1 to %d", most))
		}
	}
	if text := query.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, 0, 0, malformedRequest.because("after must be a value of next from an earlier answer")
		}
	}
	return query, after, limit, nil
}

// maxParts bounds how many commands one request sends to the hub.
const maxParts = 64

func (s *Server) getClients(x *exchange) (any, error) {
	query, after, limit, err := x.page()
	if err != nil {
		return nil, err
	}
	q := hub.ClientsQuery{After: after, User: query.Get("user_id"), Topic: query.Get("topic")}
	address, handle, state := query.Get("address"), query.Get("handle"), query.Get("state")
	answer := clientsView{Clients: []clientView{}}
	for range maxParts {
		q.Limit = limit - len(answer.Clients)
		page, err := s.opts.Hub.Clients(q)
		if err != nil {
			return nil, err
		}
		for _, v := range s.views(x.r.Context(), page.Clients) {
			if strings.HasPrefix(v.Handle, handle) && (state == "" || v.State == state) &&
				(address == "" || v.connView != nil && strings.HasPrefix(v.Address, address)) {
				answer.Clients = append(answer.Clients, v)
			}
		}
		q.After = page.Next
		if !page.More {
			return answer, nil
		}
		if len(answer.Clients) == limit {
			break
		}
	}
	answer.Next = strconv.FormatUint(q.After, 10)
	return answer, nil
}

// client finds the client that a path names by its handle or, for callers that know it, by
// its id.
func (s *Server) client(x *exchange) (hub.ClientInfo, error) {
	x.Header()["Cache-Control"] = noStore
	given := x.param("handle")
	if id, ok := hub.ParseID(given); ok {
		return s.opts.Hub.Client(id)
	}
	handle, ok := hub.ParseHandle(given)
	if !ok {
		return hub.ClientInfo{}, hub.ErrUnknownClient
	}
	return s.opts.Hub.Find(handle)
}

func (s *Server) getClient(x *exchange) (any, error) {
	info, err := s.client(x)
	if err != nil {
		return nil, err
	}
	return s.views(x.r.Context(), []hub.ClientInfo{info})[0], nil
}

// deleteClient closes a client's connection and removes the client.
func (s *Server) deleteClient(x *exchange) (any, error) {
	info, err := s.client(x)
	if err != nil {
		return nil, err
	}
	removed, err := s.opts.Hub.Unregister(info.ID)
	if err != nil {
		return nil, err
	}
	return removal{removed}, nil
}
