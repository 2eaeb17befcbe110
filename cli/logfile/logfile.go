// Package logfile has the commands that look after a log on the disk while no broker uses it.
package logfile

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"belfry/cli"
	"belfry/hub"
	"belfry/store/disk"
)

// open opens the log of a folder, which must be there.
func open(dir string) (*disk.Store, error) {
	if _, err := os.Stat(filepath.Join(dir, disk.FileName)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no log in %s", dir)
	}
	return disk.Open(dir, disk.Options{Clock: time.Now})
}

// Verify reads all of a log and prints what it holds. It fails with a [*disk.DamagedError].
func Verify(dir string, s cli.Streams) error {
	store, err := open(dir)
	if err != nil {
		return err
	}
	r, err := store.Verify()
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "the log is whole: %d events of %d bytes, %d idempotency keys, head %s\n", r.Events, r.Bytes, r.Keys, r.Head)
	return err
}

// A line is an event as Dump prints it.
type line struct {
	Cursor  string         `json:"cursor"`
	Topic   string         `json:"topic"`
	ID      string         `json:"id"`
	User    string         `json:"user_id,omitzero"`
	Time    time.Time      `json:"time"`
	Expires time.Time      `json:"expires,omitzero"`
	Data    jsontext.Value `json:"data"`
	Source  string         `json:"source,omitzero"`
	Type    string         `json:"type,omitzero"`
}

// Dump prints the events of a log after a cursor, "" for all. It ends when ctx does.
func Dump(ctx context.Context, dir, after string, s cli.Streams) error {
	store, err := open(dir)
	if err != nil {
		return err
	}
	from, ok := hub.ParseCursor(after)
	if after != "" && (!ok || from.Epoch != store.Epoch()) {
		return errors.Join(fmt.Errorf("the cursor %s is not of this log", after), store.Close())
	}
	out := bufio.NewWriter(s.Out)
	err = store.Each(from.Position, func(ev *hub.Ordered, _ int) error {
		text, err := json.Marshal(lineOf(store.Epoch(), ev))
		if err == nil {
			_, err = out.Write(append(text, '\n'))
		}
		return errors.Join(err, ctx.Err())
	})
	return errors.Join(err, out.Flush(), store.Close())
}

func lineOf(epoch uint64, ev *hub.Ordered) *line {
	l := &line{
		Cursor: hub.Cursor{Epoch: epoch, Position: ev.Position}.String(), Topic: ev.Topic, ID: ev.ID, User: ev.User,
		Time: ev.Time, Expires: ev.Expires, Data: jsontext.Value(ev.Message),
	}
	if ev.Text {
		l.Data, _ = jsontext.AppendQuote(nil, ev.Message) // cannot fail: a message is UTF-8
	}
	if ev.Details != nil {
		l.Source, l.Type = ev.Details.Source, ev.Details.Type
	}
	return l
}

// Compact makes the file of a log smaller, and prints by how much.
func Compact(dir string, s cli.Streams) error {
	store, err := open(dir)
	if err != nil {
		return err
	}
	before, after, err := store.Compact()
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "the file had %d bytes, and has %d\n", before, after)
	return err
}

// Renew gives a log another epoch, and prints its head.
func Renew(dir string, s cli.Streams) error {
	store, err := open(dir)
	if err != nil {
		return err
	}
	var epoch [8]byte
	rand.Read(epoch[2:]) // it never fails
	err = store.Renew(max(1, binary.BigEndian.Uint64(epoch[:])))
	head := hub.Cursor{Epoch: store.Epoch(), Position: store.Head()}
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "the log has another epoch; its head is %s\n", head)
	return err
}
