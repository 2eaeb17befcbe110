package api

import (
	"context"
	"errors"
	"strconv"

	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/hub"
)

// Publisher returns what publishes for a connection of somebody's, or nil for who
// may not publish. It keeps to the same rules as a request, and asks each time whether
// that is still so.
func (s *Server) Publisher(who *auth.Identity) hub.Publisher {
	if who.Has(auth.Publish) != nil {
		return nil
	}
	return func(sub hub.Submission) (hub.Receipt, error) {
		x := &exchange{who: who, limits: s.limits.Load()}
		if err := s.still(x, has(auth.Publish)); err != nil {
			return hub.Receipt{}, s.asProblem(err)
		}
		if err := s.room(needOf(x.who)); err != nil {
			return hub.Receipt{}, s.asProblem(err)
		}
		if err := s.take(x.who, 1); err != nil {
			return hub.Receipt{}, s.asProblem(err)
		}
		p, err := s.submitted(x, sub)
		if err != nil {
			return hub.Receipt{}, s.asProblem(err)
		}
		// The hub bounds how long this waits.
		done, err := s.opts.Hub.PublishAll(context.Background(), p)
		if err != nil {
			return hub.Receipt{}, s.asProblem(err)
		}
		return done[0], nil
	}
}

// submitted returns what a client asks to be published.
func (s *Server) submitted(x *exchange, sub hub.Submission) (p hub.Publication, err error) {
	if !sub.Text && isDeeper(sub.Message, x.limits.MaxDepth-1) {
		return p, tooDeep.because("data nests deeper than max_depth permits; send a flatter one")
	}
	seconds := sub.Expires.Seconds()
	req := publishRequest{Topic: sub.Topic, User: userID(sub.User), Message: message{sub.Message, sub.Text}}
	if sub.ID != "" {
		req.ID = &sub.ID
	}
	if sub.Expires > 0 {
		req.ExpiresIn = &seconds
	}
	if sub.User != "" {
		if err := checkUser(sub.User); err != nil {
			return p, err
		}
	}
	ev, err := s.event(x, &req)
	if err != nil {
		return p, err
	}
	p.Events = []hub.Event{ev}
	if sub.Key != "" {
		if !isKey(sub.Key) {
			return p, invalidKey.because("key is no text of 1 to 255 printable ASCII characters")
		}
		p.Key = x.keyOf(givenKey, []string{sub.Key},
			"operation", sub.Topic, sub.User, sub.ID, sub.Expires.String(), strconv.FormatBool(sub.Text), string(sub.Message))
	}
	return p, nil
}

// asProblem turns an error into what the client is told, and counts and logs it as
// one of a request.
func (s *Server) asProblem(err error) error {
	p, ok := problemOf(err)
	if !ok {
		return err
	}
	s.countRefusal(p)
	if denial, ok := errors.AsType[*auth.Denial](err); ok {
		s.denials.Info("denied", zap.String("code", denial.Code), zap.String("reason", denial.Reason), zap.String("op", "publish"))
	}
	return p
}
