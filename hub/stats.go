package hub

// Stats are the hub's figures at one moment. Counters count since the start.
type Stats struct {
	Clients   int // registered
	Connected int // of those, with a connection
	Users     int // with clients
	Topics    int // exact topics with subscribers or retained events
	Patterns  int // patterns with subscribers
	Reading   int // clients that wait for their turn to read from the log
	Polls     int // requests that wait for an event
	Draining  bool
	Behind    bool // couriers are too slow: publishes wait

	Commands   int // waiting for the hub
	Deliveries int // waiting for a courier to take them

	Retained      int // events in the log
	RetainedBytes int // their accounted size
	Keys          int // remembered, of publications
	KeyBytes      int // their accounted size
	ClientBytes   int // accounted size of what is held for clients: registrations, subscriptions, what they read
	Head          Position

	Registered uint64 // counter: registrations
	Published  uint64 // counter: events accepted
	Repeated   uint64 // counter: events that were published again, with a key
	Matched    uint64 // counter: clients that events were for
	Queued     uint64 // counter: of those, connected ones
	Replayed   uint64 // counter: events read from the log for a client
	Dropped    uint64 // counter: events that slow connections were not given
	Lags       uint64 // counter: times that a connection became slow, and was not closed
	Evicted    uint64 // counter: events that retention dropped
	Gaps       uint64 // counter: gaps that connections were told of

	LongestTurn uint64 // comparisons of the turn that took most

	Disconnects []uint64 // counters: connections ended, by [Reason]
	Removals    []uint64 // counters: registrations ended, by [Reason]
}

// Stats returns the figures as they are now.
func (s *State) Stats() Stats {
	st := s.stats
	st.Clients, st.Users, st.Topics, st.Patterns = len(s.clients), len(s.users), len(s.topics), s.patternCount
	st.Reading, st.Polls, st.Draining, st.Behind = s.reading.len(), len(s.polls), s.draining, s.Congested()
	for i := range s.outboxes {
		st.Deliveries += len(s.outboxes[i].batch.targets)
	}
	st.Retained, st.RetainedBytes, st.Head = s.window.entries.len()-s.window.husks, s.window.bytes, s.window.head
	st.ClientBytes, st.Evicted = s.held, s.window.evictions
	st.Keys, st.KeyBytes = len(s.authority.keys.records), s.authority.keys.bytes
	st.Disconnects = append([]uint64(nil), s.stats.Disconnects...)
	st.Removals = append([]uint64(nil), s.stats.Removals...)
	return st
}
