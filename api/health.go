package api

import (
	"time"

	"belfry/api/limit"
	"belfry/hub"
)

// A health answers GET /health.
type health struct {
	Status    string `json:"status"`
	Version   string `json:"version"`
	UptimeS   int64  `json:"uptime_s"` // seconds
	Clients   int    `json:"clients"`
	Connected int    `json:"connected"`
	Topics    int    `json:"topics"`
}

// A verdict answers the probes of an orchestrator.
type verdict struct {
	Status string `json:"status"`
}

func (s *Server) getHealth(x *exchange) (any, error) {
	stats, err := s.figures(x)
	if err != nil {
		return nil, err
	}
	return &health{
		Status:    "ok",
		Version:   s.opts.Version,
		UptimeS:   int64(s.opts.Clock().Sub(s.opts.Started) / time.Second),
		Clients:   stats.Clients,
		Connected: stats.Connected,
		Topics:    stats.Topics,
	}, nil
}

// getLive reports whether the broker works; if not, a restart would help.
func (s *Server) getLive(x *exchange) (any, error) {
	if _, err := s.figures(x); err != nil {
		return nil, err
	}
	return verdict{"ok"}, nil
}

// getReady reports whether events and clients may be sent here.
func (s *Server) getReady(x *exchange) (any, error) {
	if !s.opts.Ready() {
		return nil, notReady.because("the broker is starting or shutting down; use another one until it is ready")
	}
	if s.opts.LogFails() {
		return nil, notReady.because("the log cannot be written; see the broker's own log for the reason")
	}
	if s.opts.Overloaded(limit.ToBegin) {
		return nil, &limit.Refusal{Limit: limit.Memory, After: memoryPause}
	}
	stats, err := s.figures(x)
	switch {
	case err != nil:
		return nil, err
	case stats.Draining:
		return nil, hub.ErrDraining
	case stats.Behind:
		return nil, busy.because("too many events wait to be written; publish less, or wait")
	}
	return verdict{"ready"}, nil
}

// figures gets the current figures from the hub.
func (s *Server) figures(x *exchange) (hub.Stats, error) {
	x.Header()["Cache-Control"] = noStore
	return s.probe.stats()
}
