package api

import (
	"strconv"
	"time"

	"belfry/hub"
)

// The views of topics for operators.

// A topicView is a topic as operators see it.
type topicView struct {
	Topic       string   `json:"topic"`
	Subscribers int      `json:"subscribers"` // of exactly this topic or pattern
	Patterns    []string `json:"patterns,omitzero"`
	Retained    int      `json:"retained"`
	Users       int      `json:"users"` // with retained events for them alone
	Published   uint64   `json:"published"`
	LastEvent   string   `json:"last_event_at,omitzero"`
}

func viewOf(info hub.TopicInfo) topicView {
	v := topicView{Topic: info.Name, Subscribers: info.Subscribers, Patterns: info.Patterns, Retained: info.Retained, Users: info.Users, Published: info.Published}
	if !info.Last.IsZero() {
		v.LastEvent = info.Last.UTC().Format(time.RFC3339Nano)
	}
	return v
}

// topicsView answers GET /topics.
type topicsView struct {
	Topics []topicView `json:"topics"`
	Next   string      `json:"next,omitzero"` // for after; left out on the last page
}

func (s *Server) getTopics(x *exchange) (any, error) {
	query, after, limit, err := x.page()
	if err != nil {
		return nil, err
	}
	pattern := query.Get("pattern")
	if pattern != "" {
		if err := hub.CheckPattern(pattern); err != nil && !hub.IsReserved(err) {
			return nil, err
		}
	}
	answer := topicsView{Topics: []topicView{}}
	for range maxParts {
		page, err := s.opts.Hub.Topics(after, limit-len(answer.Topics), pattern)
		if err != nil {
			return nil, err
		}
		for _, info := range page.Topics {
			answer.Topics = append(answer.Topics, viewOf(info))
		}
		after = page.Next
		if !page.More {
			return answer, nil
		}
		if len(answer.Topics) == limit {
			break
		}
	}
	answer.Next = strconv.FormatUint(after, 10)
	return answer, nil
}

func (s *Server) getTopic(x *exchange) (any, error) {
	x.Header()["Cache-Control"] = noStore
	name := x.param("topic")
	if err := hub.CheckTopic(name); err != nil && !hub.IsReserved(err) {
		return nil, err
	}
	info, _, err := s.opts.Hub.Topic(name)
	if err != nil {
		return nil, err
	}
	return viewOf(info), nil
}

// A presence answers GET /topics/{topic}/presence.
type presence struct {
	Topic string         `json:"topic"`
	Users []presenceView `json:"users"`
}

// A presenceView is a user who is subscribed to a topic.
type presenceView struct {
	User    string `json:"user_id"` // "" stands for all clients without a user
	Clients int    `json:"clients"` // connected ones
}

func (s *Server) getPresence(x *exchange) (any, error) {
	x.Header()["Cache-Control"] = noStore
	name := x.param("topic")
	if err := hub.CheckTopic(name); err != nil && !hub.IsReserved(err) {
		return nil, err
	}
	present, err := s.opts.Hub.Present(name)
	if err != nil {
		return nil, err
	}
	answer := presence{Topic: name, Users: []presenceView{}}
	for _, p := range present {
		answer.Users = append(answer.Users, presenceView{p.User, p.Clients})
	}
	return answer, nil
}
