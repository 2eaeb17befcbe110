package api

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"belfry/hub"
)

// A publishRequest is the body of POST /publish.
type publishRequest struct {
	Topic   string  `json:"topic"`
	User    userID  `json:"user_id"`
	Message message `json:"message"`
}

// A receipt says what became of an event.
type receipt struct {
	event *hub.Event
	hub.Receipt
}

// appendJSON implements [appender].
func (r receipt) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, r.event.ID...)
	dst = append(dst, `","cursor":"`...)
	dst = r.Cursor.AppendTo(dst)
	dst = append(dst, `","topic":`...)
	dst, _ = jsontext.AppendQuote(dst, r.event.Topic) // cannot fail: a topic is UTF-8
	dst = append(dst, `,"matched":`...)
	dst = strconv.AppendInt(dst, int64(r.Matched), 10)
	dst = append(dst, `,"queued":`...)
	dst = strconv.AppendInt(dst, int64(r.Queued), 10)
	return append(dst, `,"scope":"node","duplicate":false}`...)
}

func (s *Server) postPublish(x *exchange) (any, error) {
	if err := s.room(); err != nil {
		return nil, err
	}
	if err := s.mayPublish(x, 1); err != nil {
		return nil, err
	}
	event, err := s.event(x)
	if err != nil {
		return nil, err
	}
	// When nobody waits for the answer any more, the event is not published.
	done, err := s.opts.Hub.Publish(x.r.Context(), event)
	if err != nil {
		return nil, err
	}
	s.metrics.published(x.start)
	return receipt{&event, done}, nil
}

// event reads the event to be published.
func (s *Server) event(x *exchange) (hub.Event, error) {
	body, err := x.body()
	if err != nil {
		return hub.Event{}, err
	}
	var req publishRequest
	if err := decode(body, &req, x.limits.MaxDepth, "topic, user_id and message"); err != nil {
		return hub.Event{}, err
	}
	switch {
	case req.Topic == "":
		return hub.Event{}, invalidTopic.because("topic is missing or empty; say what to publish to")
	case req.Message.text == nil:
		return hub.Event{}, invalidMessage.because("message is missing; send any JSON value, null included")
	case len(req.Message.text) > x.limits.MaxMessage:
		return hub.Event{}, messageTooLarge.because(fmt.Sprintf("the message has %d bytes; send at most %d, or raise max_message", len(req.Message.text), x.limits.MaxMessage))
	}
	if err := hub.CheckTopic(req.Topic); err != nil {
		return hub.Event{}, err
	}
	if err := x.who.MayPublish(req.Topic); err != nil {
		return hub.Event{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return hub.Event{}, fmt.Errorf("make an event id: %w", err)
	}
	return hub.Event{ID: id.String(), Topic: req.Topic, User: string(req.User), Time: s.opts.Clock(), Message: req.Message.text, Text: req.Message.quoted}, nil
}
