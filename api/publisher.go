package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"belfry/api/auth"
	"belfry/hub"
)

// Publisher returns the function that publishes for a connection, or nil if the identity
// may not publish. The function applies the rules of a request. It checks the identity's
// rights at each call.
func (s *Server) Publisher(who *auth.Identity) hub.Publisher {
	if who.Has(auth.Publish) != nil {
		return nil
	}
	return func(req hub.PublishRequest) (receipt func() (hub.Receipt, error), err error) {
		p, err := s.publicationOf(&caller{who: who, limits: s.limits.Load()}, &req)
		if err != nil {
			return nil, s.asProblem(err)
		}
		// the hub bounds the wait
		pending, err := s.opts.Hub.Submit(context.Background(), p)
		if err != nil {
			return nil, s.asProblem(err)
		}
		return func() (hub.Receipt, error) {
			done, err := pending.Receipts()
			if err != nil {
				return hub.Receipt{}, s.asProblem(err)
			}
			return done[0], nil
		}, nil
	}
}

// publicationOf returns the publication of an operation, if it is allowed.
func (s *Server) publicationOf(c *caller, req *hub.PublishRequest) (p hub.Publication, err error) {
	if err := s.refresh(c, has(auth.Publish)); err != nil {
		return p, err
	}
	if err := s.checkMemory(needOf(c.who)); err != nil {
		return p, err
	}
	if err := s.spendQuota(c.who, 1); err != nil {
		return p, err
	}
	if !req.Text && isDeeper(req.Message, c.limits.MaxDepth-1) {
		return p, tooDeep.because("data nests deeper than max_depth permits; send a flatter one")
	}
	if req.User != "" {
		if err := checkUser(req.User); err != nil {
			return p, err
		}
	}
	ev, err := s.event(c, req)
	if err != nil {
		return p, err
	}
	p.Events = []hub.Event{ev}
	if req.Key != nil {
		p.Key, err = c.operationKey(req)
	}
	return p, err
}

// operationKey returns the idempotency key of an operation.
func (c *caller) operationKey(req *hub.PublishRequest) (hub.Key, error) {
	if !isKey(*req.Key) {
		return hub.Key{}, invalidKey.because("key is not a text of 1 to 255 printable ASCII characters")
	}
	id, expires := "", ""
	if req.ID != nil {
		id = *req.ID
	}
	if req.ExpiresIn != nil {
		expires = fmt.Sprint(*req.ExpiresIn)
	}
	return c.keyOf(givenKey, []string{*req.Key}, "operation", req.Topic, req.User, id, expires, strconv.FormatBool(req.Text), string(req.Message)), nil
}

// asProblem turns an error into the one that the client is told. It counts and logs it
// like the error of a request.
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
