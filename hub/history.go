package hub

// A Page is a part of what is retained of a topic.
type Page struct {
	Events []Stored
	Cursor Cursor // what follows has later positions
	More   bool   // there are more events already
}

// A Stored event is one in the log.
type Stored struct {
	Event
	Cursor Cursor
}

// A GapError says that events after a cursor are lost.
type GapError struct{ Gap }

func (e *GapError) Error() string {
	return "some events after the cursor are no longer retained: " + e.Reason.String()
}

// A HistorySearch looks for a part of what is retained of a topic for everybody, in
// steps.
type HistorySearch struct {
	topic string
	from  From
	begun bool
	rd    reading
}

// SearchHistory begins to look for a part of a topic's history: as from says, or from
// the beginning.
func SearchHistory(topic string, from From) *HistorySearch {
	return &HistorySearch{topic: topic, from: from}
}

// History returns a bounded part of what is retained of a topic for everybody, and
// reports whether it was found within the step: else it has to be asked again. It
// fails with a [*GapError].
func (s *State) History(q *HistorySearch) (page Page, done bool, err error) {
	subs := []subscription{{subject: &subject{name: q.topic}}}
	if !q.begun && q.from.given() {
		var gap *Gap
		if q.rd, gap = s.place(q.from, s.window.head); gap != nil {
			gap.Topics = []string{q.topic}
			return Page{}, true, &GapError{*gap}
		}
	}
	q.begun = true
	if !s.locateNewest(filter{subs: subs}, &q.rd) {
		return Page{}, false, nil
	}
	if q.from.given() {
		if gaps, _ := s.gaps(subs, "", &q.rd); gaps != nil { // of exact topics in one step
			return Page{}, true, &GapError{gaps[0]}
		}
	}
	found, upTo := s.next(filter{subs, "", q.rd.last}, q.rd.pos, s.window.head)
	s.spend(len(found))
	page = Page{Events: make([]Stored, len(found)), Cursor: s.cursor(upTo), More: upTo < s.window.head}
	for i, e := range found {
		page.Events[i] = Stored{e.Event, s.cursor(e.position)}
	}
	return page, true, nil
}
