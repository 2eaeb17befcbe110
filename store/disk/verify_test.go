package disk

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"belfry/hub"
)

// filled opens a store of 60 events in three commits, each with a key.
func filled(t *testing.T, dir string) *Store {
	t.Helper()
	now := birth
	s := open(t, dir, options(&now))
	t.Cleanup(func() { s.Close() })
	for i := range 3 {
		c := commit(hub.Position(1+20*i), 20, 1000, now)
		c.Keys = []hub.KeyRecord{{Key: hub.Key{Name: [16]byte{byte(i + 1)}}, Time: now, Events: []hub.KeyedEvent{{ID: "x", Position: 1}}}}
		if err := s.Commit(c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestVerify: what is whole is described, and whatever is missing or was changed is found.
func TestVerify(t *testing.T) {
	t.Parallel()
	whole := filled(t, t.TempDir())
	want := Report{Head: hub.Cursor{Epoch: 7, Position: 60}, Events: 60, Keys: 3, Bytes: whole.Bytes()}
	if got, err := whole.Verify(); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for name, hurt := range map[string]func(tx *bolt.Tx) error{
		"the first record is missing": func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Delete(keyOf(1)) },
		"a record is missing":         func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Delete(keyOf(31)) },
		"the last record is missing":  func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Delete(keyOf(60)) },
		"a record too many":           func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Put(keyOf(61), []byte("and this")) },
		"a record is another one":     func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Put(keyOf(5), tx.Bucket(bucketLog).Get(keyOf(6))) },
		"a key has another print": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketKeys).Put(append([]byte{1}, make([]byte, 15)...), make([]byte, 60))
		},
		"the time of a key is missing": func(tx *bolt.Tx) error {
			key, _ := tx.Bucket(bucketKeyTimes).Cursor().First()
			return tx.Bucket(bucketKeyTimes).Delete(key)
		},
		"the key of a time is missing":  func(tx *bolt.Tx) error { return tx.Bucket(bucketKeys).Delete(append([]byte{2}, make([]byte, 15)...)) },
		"what the log is was rewritten": func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(metaKey, make([]byte, 80)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, now := t.TempDir(), birth
			s := filled(t, dir)
			if err := s.db.Update(hurt); err != nil {
				t.Fatal(err)
			}
			s.Close()
			again, err := Open(dir, options(&now))
			if err == nil {
				defer again.Close()
				_, err = again.Verify()
			}
			if !errors.As(err, new(*DamagedError)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestEach: events are read from any position on.
func TestEach(t *testing.T) {
	t.Parallel()
	s := filled(t, t.TempDir())
	for _, after := range []hub.Position{0, 1, 30, 59, 60, 100} {
		var got []hub.Position
		err := s.Each(after, func(ev *hub.Ordered, _ int) error {
			got = append(got, ev.Position)
			return nil
		})
		if err != nil || len(got) != max(0, 60-int(after)) || len(got) > 0 && got[0] != after+1 {
			t.Errorf("after %d: %v, %v", after, got, err)
		}
	}
	stop := errors.New("enough")
	if err := s.Each(0, func(*hub.Ordered, int) error { return stop }); err != stop {
		t.Errorf("%v", err)
	}
}

// TestCompact: the new file is smaller and holds the same.
func TestCompact(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), birth
	opts := options(&now)
	opts.MaxBytes = 20_000
	s := open(t, dir, opts)
	for i := range 40 {
		if err := s.Commit(commit(hub.Position(1+20*i), 20, 1000, now)); err != nil {
			t.Fatal(err)
		}
	}
	r, events, _ := load(t, s)
	before, after, err := s.Compact()
	if err != nil || after >= before {
		t.Errorf("%d bytes, before %d: %v", after, before, err)
	}
	s.Close()
	s = open(t, dir, opts)
	defer s.Close()
	again, same, _ := load(t, s)
	if again.Head != r.Head || again.Floor != r.Floor || !reflect.DeepEqual(events, same) {
		t.Errorf("%+v, before %+v", again, r)
	}
}

// TestRenew: the log has another epoch, and the same events.
func TestRenew(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), birth
	s := filled(t, dir)
	if err := s.Renew(9); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, options(&now))
	defer s.Close()
	if r, err := s.Verify(); err != nil || r.Head != (hub.Cursor{Epoch: 9, Position: 60}) || !strings.HasPrefix(r.Head.String(), "000000000009") {
		t.Errorf("%+v, %v", r, err)
	}
}
