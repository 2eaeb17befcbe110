package hub

// A Publication is events that are taken together: all of them, in order, or
// none.
type Publication struct {
	Events []Event
	Keys   []Key // of each event; nil: none has one
	Key    Key   // of the whole
}

// A Taking is a publication that the hub takes, one event after the other, so
// that a large one does not keep all else waiting. From its beginning on
// nothing can refuse it.
type Taking struct {
	Publication
	receipts []Receipt

	// Only with a store.
	owner   *publish        // who waits for the receipts; nil: nobody
	at      []Position      // of each event; 0: it is a repeat
	repeats map[int]*record // what was published before, by number of the event
	keys    []*record       // of its keys: of events in order, then of the whole
	counted int             // of those, the ones that know their counts
	stored  bool
	err     error // why it is not stored
}

// key returns the key of an event, nil if it has none.
func (t *Taking) key(i int) *Key {
	if t.Keys == nil || !t.Keys[i].given() {
		return nil
	}
	return &t.Keys[i]
}

// Begin checks a publication as a whole. It fails with [ErrDraining],
// [ErrKeyReused] or [ErrTooManyKeys].
func (s *State) Begin(p Publication) (*Taking, error) {
	s.spend(len(p.Events) + len(p.Keys))
	if s.draining {
		return nil, ErrDraining
	}
	if p.Key.given() {
		r, err := s.authority.keys.find(&p.Key)
		if err != nil {
			return nil, err
		}
		if r != nil && r.pending {
			return nil, ErrKeyPending
		}
		if r != nil {
			return &Taking{receipts: s.repeated(r)}, nil
		}
	}
	if err := s.checkKeys(&p); err != nil {
		return nil, err
	}
	return &Taking{Publication: p, receipts: make([]Receipt, 0, len(p.Events))}, nil
}

// checkKeys reports whether everything in a publication that has a key can be
// remembered.
func (s *State) checkKeys(p *Publication) error {
	size := 0
	if p.Key.given() {
		ids := 0
		for i := range p.Events {
			ids += len(p.Events[i].ID)
		}
		size = recordSize(len(p.Events), ids)
	}
	seen := make(map[[16]byte]*Key)
	for i := range p.Keys {
		k := &p.Keys[i]
		if !k.given() {
			continue
		}
		if r, err := s.authority.keys.find(k); err != nil {
			return err
		} else if r != nil && r.pending {
			return ErrKeyPending
		} else if r != nil {
			continue
		}
		if other := seen[k.Name]; other == nil {
			seen[k.Name] = k
			size += recordSize(1, len(p.Events[i].ID))
		} else if *other != *k {
			return ErrKeyReused
		}
	}
	if size > 0 && s.authority.keys.bytes+size > s.opts.DedupeBytes {
		return ErrTooManyKeys
	}
	return nil
}

// Continue takes the next event, or prepares it as far as a step may. It reports
// whether that was all.
func (s *State) Continue(t *Taking) (done bool) {
	if i := len(t.receipts); i < len(t.Events) {
		if !s.Prepare(&t.Events[i]) {
			return false
		}
		if t.at != nil {
			t.receipts = append(t.receipts, s.applyOrdered(t, i))
		} else {
			t.receipts = append(t.receipts, s.publishOnce(t.Events[i], t.key(i)))
		}
	}
	if len(t.receipts) < len(t.Events) {
		return false
	}
	switch {
	case !t.Key.given():
	case t.at != nil:
		s.spend(len(t.receipts))
		copy(t.keys[t.counted].receipts, t.receipts)
	default:
		s.spend(len(t.receipts))
		s.authority.keys.remember(t.Key, s.age, t.receipts)
	}
	return true
}

// publishOnce publishes an event unless its key was used before.
func (s *State) publishOnce(ev Event, key *Key) Receipt {
	if key == nil {
		return s.publish(ev, &s.ahead)
	}
	if r, _ := s.authority.keys.find(key); r != nil { // of the same event: Begin has checked it
		s.ahead.topic = ""
		return s.repeated(r)[0]
	}
	receipt := s.publish(ev, &s.ahead)
	s.authority.keys.remember(*key, s.age, []Receipt{receipt})
	return receipt
}

// applyOrdered applies an event that is stored.
func (s *State) applyOrdered(t *Taking, i int) Receipt {
	if r := t.repeats[i]; r != nil {
		s.ahead.topic = ""
		return s.repeated(r)[0]
	}
	done := s.apply(t.at[i], t.Events[i], &s.ahead)
	receipt := Receipt{ID: t.Events[i].ID, Cursor: s.cursor(t.at[i]), Matched: done.Matched, Queued: done.Queued}
	if t.key(i) != nil {
		t.keys[t.counted].receipts[0] = receipt
		t.counted++
	}
	return receipt
}

// uncounted returns the receipt of an event that is ordered, without counts.
func (t *Taking) uncounted(s *State, i int) Receipt {
	if r := t.repeats[i]; r != nil {
		receipt := r.receipts[0]
		receipt.Duplicate = true
		return receipt
	}
	return Receipt{ID: t.Events[i].ID, Cursor: s.cursor(t.at[i]), Uncounted: true}
}

// repeated returns the receipts of a record, for a repeat.
func (s *State) repeated(r *record) []Receipt {
	s.spend(len(r.receipts))
	receipts := make([]Receipt, len(r.receipts))
	for i, receipt := range r.receipts {
		receipt.Duplicate = true
		receipts[i] = receipt
	}
	s.stats.Repeated += uint64(len(receipts))
	return receipts
}
