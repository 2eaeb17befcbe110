package hub

import "encoding/json"

// PresenceTopic is what the topics begin with that tell of users who come to a topic
// and leave it: the rest is that topic's name.
const PresenceTopic = "$presence."

// A change is what such a topic tells.
type change struct {
	Change string `json:"change"` // "join" or "leave"
	Topic  string `json:"topic"`
	User   string `json:"user_id"`
}

// present tells those who watch a topic that a client's user is there, or not any
// more: by its first connected client with that subscription, and by its last.
// Users without a name and patterns are not told of.
func (s *State) present(c *client, sub *subject, here bool) {
	if sub.pattern || reserved(sub.name) || c.user.name == "" || s.draining {
		return
	}
	topic := PresenceTopic + sub.name
	if len(topic) > MaxTopicBytes || !s.watched(topic) {
		return
	}
	for _, other := range c.user.clients {
		if other != c && other.conn != nil && other.subscription(sub.name) >= 0 {
			return
		}
	}
	news := change{"leave", sub.name, c.user.name}
	if here {
		news.Change = "join"
	}
	message, err := json.Marshal(news)
	if err != nil {
		return // of strings it can
	}
	s.publish(Event{ID: "presence-" + s.cursor(s.log.head+1).String(), Topic: topic, Time: s.now, Message: message})
}

// presentEverywhere tells it of all of a client's subscriptions.
func (s *State) presentEverywhere(c *client, here bool) {
	for i := range c.subs {
		s.present(c, c.subs[i].subject, here)
	}
}

// watched reports whether anybody subscribes to one of the broker's own topics.
func (s *State) watched(topic string) bool {
	if t := s.topics[topic]; t != nil && len(t.members) > 0 {
		return true
	}
	return len(s.matchingPatterns(topic)) > 0
}
