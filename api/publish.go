package api

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"belfry/hub"
)

// minPublishWait is the least that a publish waits for room: the hub takes an
// event when it comes round to it, which is never at once.
const minPublishWait = 10 * time.Millisecond

// A publishRequest is the body of POST /publish.
type publishRequest struct {
	Topic   string  `json:"topic"`
	User    userID  `json:"user_id"`
	Message message `json:"message"`
}

// A receipt says what became of an event.
type receipt struct {
	ID        string `json:"id"`
	Cursor    string `json:"cursor"`
	Topic     string `json:"topic"`
	Matched   int    `json:"matched"` // clients subscribed to it
	Queued    int    `json:"queued"`  // of those, connected ones that will get it
	Scope     string `json:"scope"`   // which clients were counted: this node's
	Duplicate bool   `json:"duplicate"`
}

func (s *Server) postPublish(x *exchange) (any, error) {
	event, err := s.event(x)
	if err != nil {
		return nil, err
	}
	// Without room in time, or when nobody waits for the answer any more, the
	// event is not published.
	ctx, cancel := context.WithTimeout(x.r.Context(), s.opts.PublishTimeout)
	defer cancel()
	done, err := s.opts.Hub.Publish(ctx, event)
	if err != nil {
		return nil, err
	}
	s.metrics.published(x.start)
	return &receipt{
		ID:      event.ID,
		Cursor:  done.Cursor.String(),
		Topic:   event.Topic,
		Matched: done.Matched,
		Queued:  done.Queued,
		Scope:   "node",
	}, nil
}

// event reads the event to be published.
func (s *Server) event(x *exchange) (hub.Event, error) {
	body, err := x.body(s.opts.MaxBody)
	if err != nil {
		return hub.Event{}, err
	}
	var req publishRequest
	if err := decode(body, &req, s.opts.MaxDepth, "topic, user_id and message"); err != nil {
		return hub.Event{}, err
	}
	switch {
	case req.Topic == "":
		return hub.Event{}, invalidTopic.because("topic is missing or empty; say what to publish to")
	case req.Message == nil:
		return hub.Event{}, invalidMessage.because("message is missing; send any JSON value, null included")
	case len(req.Message) > s.opts.MaxMessage:
		return hub.Event{}, messageTooLarge.because(fmt.Sprintf("the message has %d bytes; send at most %d, or raise max_message", len(req.Message), s.opts.MaxMessage))
	}
	if err := hub.CheckTopic(req.Topic); err != nil {
		return hub.Event{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return hub.Event{}, fmt.Errorf("make an event id: %w", err)
	}
	return hub.Event{ID: id.String(), Topic: req.Topic, User: string(req.User), Time: s.opts.Clock(), Message: req.Message}, nil
}
