package api

import (
	"bytes"
	"net/url"

	"belfry/hub"
)

// A topicRequest is the body of POST /add_topic and DELETE /remove_topic.
type topicRequest struct {
	ClientID string `json:"client_id"`
	Topic    string `json:"topic"`
}

func (s *Server) postAddTopic(x *exchange) (any, error) {
	return s.changeTopic(x, s.opts.Hub.AddTopic, "subscribed to ")
}

func (s *Server) deleteRemoveTopic(x *exchange) (any, error) {
	return s.changeTopic(x, s.opts.Hub.RemoveTopic, "unsubscribed from ")
}

func (s *Server) changeTopic(x *exchange, change func(hub.ID, string) error, done string) (any, error) {
	req, err := s.topicRequest(x)
	if err != nil {
		return nil, err
	}
	switch {
	case req.ClientID == "":
		return nil, invalidClientID.because("client_id is missing; send the client_id that /register answered")
	case req.Topic == "":
		return nil, invalidTopic.because("topic is missing or empty; name the topic")
	}
	if err := hub.CheckPattern(req.Topic); err != nil {
		return nil, err
	}
	id, ok := hub.ParseID(req.ClientID)
	if !ok {
		return nil, hub.ErrUnknownClient
	}
	if err := change(id, req.Topic); err != nil {
		return nil, err
	}
	return text(done + req.Topic + "\n"), nil
}

// topicRequest reads the body and the query. Each value may be in either, because some
// proxies drop the body of a DELETE.
func (s *Server) topicRequest(x *exchange) (topicRequest, error) {
	body, err := x.body()
	if err != nil {
		return topicRequest{}, err
	}
	var req topicRequest
	if len(bytes.Trim(body, whitespace)) > 0 {
		if err := decode(body, &req, x.limits.MaxDepth, "client_id and topic"); err != nil {
			return topicRequest{}, err
		}
	}
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return topicRequest{}, errQuery
	}
	if err := fill(&req.ClientID, "client_id", query); err != nil {
		return topicRequest{}, err
	}
	return req, fill(&req.Topic, "topic", query)
}

// fill takes a value from the query unless the body has it.
func fill(value *string, name string, query url.Values) error {
	for _, given := range query[name] {
		if *value != "" && *value != given {
			return conflictingInput.because(name + " is given twice, with different values; send it once")
		}
		*value = given
	}
	return nil
}
