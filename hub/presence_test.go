package hub

import (
	"fmt"
	"slices"
	"testing"

	"encoding/json"
)

// Who watches a topic hears of users who come to it with their first connection and
// leave with their last, and of nothing in between.
func TestPresence(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	s.Tick(epoch)
	watcher := &Conn{Owner: "w"}
	s.Connect(Registration{ID: testID("w"), Topics: []string{PresenceTopic + "cats"}}, watcher, From{})
	told := Position(0)
	news := func() (all []string) {
		for i := range s.window.entries.len() {
			if e := s.window.entries.at(i); e.position > told && e.Topic == PresenceTopic+"cats" {
				var c change
				if err := json.Unmarshal(e.Message, &c); err != nil {
					t.Fatal(err)
				}
				all = append(all, c.Change+" "+c.User)
			}
		}
		told = s.window.head
		return all
	}
	conns := make(map[string]*Conn)
	for _, name := range []string{"a1", "a2", "b1", "x1", "p1"} {
		topics := map[string][]string{"p1": {"*"}}[name]
		if topics == nil {
			topics = []string{"cats"}
		}
		r := Registration{ID: testID(name), User: name[:1], Topics: topics}
		if name == "x1" {
			r.User = ""
		}
		if _, err := s.Register(r); err != nil {
			t.Fatal(err)
		}
	}
	connect := func(name string) func() {
		return func() {
			conns[name] = &Conn{Owner: name}
			s.Attach(testID(name), conns[name], From{})
		}
	}
	leave := func(name string) func() {
		return func() { s.ConnEnded(ConnReport{Conn: conns[name], UpTo: s.window.head, Reason: Disconnected}) }
	}
	var present []string
	for i, step := range []struct {
		do      func()
		told    []string
		present []string
	}{
		{connect("a1"), []string{"join a"}, []string{"a 1"}},
		{connect("a2"), nil, []string{"a 2"}},
		{connect("a2"), nil, []string{"a 2"}}, // a takeover
		{connect("b1"), []string{"join b"}, []string{"a 2", "b 1"}},
		{connect("x1"), nil, []string{" 1", "a 2", "b 1"}},               // nobody in particular
		{connect("p1"), nil, []string{" 1", "a 2", "b 1", "p 1"}},        // by a pattern
		{leave("a1"), nil, []string{" 1", "a 1", "b 1", "p 1"}},          //
		{leave("a2"), []string{"leave a"}, []string{" 1", "b 1", "p 1"}}, //
		{connect("a1"), []string{"join a"}, []string{" 1", "a 1", "b 1", "p 1"}},
		{func() { s.Unregister(testID("a1")) }, []string{"leave a"}, []string{" 1", "b 1", "p 1"}},
		{func() { s.SetTopics(conns["b1"], []string{"dogs"}) }, []string{"leave b"}, []string{" 1", "p 1"}},
		{func() { s.SetTopics(conns["b1"], []string{"dogs", "cats"}) }, []string{"join b"}, []string{" 1", "b 1", "p 1"}},
		{func() { s.Unregister(testID("w")) }, nil, []string{" 1", "b 1", "p 1"}},
		{leave("b1"), nil, []string{" 1", "p 1"}}, // nobody watches
	} {
		step.do()
		s.Settle()
		if got := news(); !slices.Equal(got, step.told) {
			t.Errorf("step %d: told %q, want %q", i, got, step.told)
		}
		present = nil
		counts := make(map[string]int)
		for q := SearchTopic("cats"); s.Present(q, counts); {
		}
		for _, p := range sortedPresence(counts) {
			present = append(present, fmt.Sprintf("%s %d", p.User, p.Clients))
		}
		if !slices.Equal(present, step.present) {
			t.Errorf("step %d: present %q, want %q", i, present, step.present)
		}
	}
}

// A watcher is told of what has changed since it came, and of nothing that was so before:
// however it comes, and whatever it changes about itself in the same step.
func TestPresenceOfAWatcherThatComesAndGoes(t *testing.T) {
	t.Parallel()
	const watch = PresenceTopic + "cats"
	for name, c := range map[string]struct {
		do   func(s *State, user, watcher *Conn)
		told []string
	}{
		"nobody watches when a user comes back": {func(s *State, user, watcher *Conn) {
			s.SetTopics(watcher, []string{watch})
			s.SetTopics(user, nil)
			s.SetTopics(watcher, nil)
			s.SetTopics(user, []string{"cats"})
			s.SetTopics(watcher, []string{watch})
		}, nil},
		"its own topic first": {func(s *State, _, watcher *Conn) {
			s.SetTopics(watcher, []string{"cats", watch})
		}, []string{"join w"}},
		"its own topic last": {func(s *State, _, watcher *Conn) {
			s.SetTopics(watcher, []string{watch, "cats"})
		}, []string{"join w"}},
		"subscribed, its own topic first": {func(s *State, _, watcher *Conn) {
			_ = s.Subscribe(watcher, Subscribe{Topics: []string{"cats", watch}})
		}, []string{"join w"}},
		"from one way to watch to another": {func(s *State, _, watcher *Conn) {
			s.SetTopics(watcher, []string{"cats", PresenceTopic + ">"})
			s.Settle()
			s.SetTopics(watcher, []string{watch})
		}, []string{"join w", "leave w"}},
		"no more": {func(s *State, _, watcher *Conn) {
			s.SetTopics(watcher, []string{"cats", watch})
			s.SetTopics(watcher, []string{"cats"})
		}, nil},
	} {
		s := NewState(testOptions())
		s.Tick(epoch)
		user, watcher := &Conn{Owner: "u"}, &Conn{Owner: "w"}
		s.Connect(Registration{ID: testID("u"), User: "u", Topics: []string{"cats"}}, user, From{})
		s.Connect(Registration{ID: testID("w"), User: "w"}, watcher, From{})
		c.do(s, user, watcher)
		s.Settle()
		var told []string
		for i := range s.window.entries.len() {
			var c change
			if err := json.Unmarshal(s.window.entries.at(i).Message, &c); err != nil {
				t.Fatal(err)
			}
			told = append(told, c.Change+" "+c.User)
		}
		if !slices.Equal(told, c.told) {
			t.Errorf("%s: told %q, want %q", name, told, c.told)
		}
		if n := s.news.watchers; n > 1 || n < 0 {
			t.Errorf("%s: %d watch", name, n)
		}
	}
}

// A crowd is answered in parts, in which each is counted once.
func TestPresenceOfACrowd(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.MaxClients, opts.MaxConnections = 5000, 5000
	s := NewState(opts)
	const crowd = 2100
	for i := range crowd {
		s.Connect(Registration{ID: testID(fmt.Sprint(i)), User: fmt.Sprint(i % 700), Topics: []string{[]string{"cats", "*", ">"}[i%3]}}, &Conn{Owner: ""}, From{})
	}
	s.step = 1024
	counts, total, parts := make(map[string]int), 0, 1
	for q := SearchTopic("cats"); s.Present(q, counts); parts++ {
	}
	for _, n := range counts {
		total += n
	}
	if total != crowd || parts != 3 {
		t.Errorf("%d in %d parts, want %d in 3", total, parts, crowd)
	}
}

// TestPresenceOfSeveralSubscriptions: a client is one, however many of its
// subscriptions match, and however many steps it takes to count.
func TestPresenceOfSeveralSubscriptions(t *testing.T) {
	t.Parallel()
	s := NewState(testOptions())
	for _, name := range []string{"a", "b"} {
		s.Connect(Registration{ID: testID(name), User: "u", Topics: []string{"cats", "*", ">"}}, &Conn{Owner: ""}, From{})
	}
	for _, step := range []uint64{1, stepWork} {
		s.step = step
		counts := make(map[string]int)
		for q := SearchTopic("cats"); s.Present(q, counts); {
		}
		if counts["u"] != 2 {
			t.Errorf("in steps of %d the user has %d clients, want 2", step, counts["u"])
		}
	}
}
