package hub

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the transcripts in testdata say now")

// A transcript is blocks of commands, a line "----", and what came of them.
// Lines that begin with '#' are comments. See [player.do] and [player.doMore]
// for the commands.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := firstDifference(got, string(want)); diff != "" {
				t.Errorf("%s:%s", file, diff)
			}
		})
	}
}

// play returns a transcript with what comes of its commands now.
func play(t *testing.T, transcript string) string {
	p := &player{t: t, conns: make(map[string]*Conn), polls: make(map[string]*Poll)}
	p.start(testOptions())
	var blocks []string
	for block := range strings.SplitSeq(strings.TrimSpace(transcript), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		p.out.Reset()
		for line := range strings.SplitSeq(commands, "\n") {
			if line != "" && line[0] != '#' {
				p.do(line)
				checkInvariants(t, p.state)
			}
		}
		if p.out.Len() > 0 {
			commands += "\n----\n" + strings.TrimSuffix(p.out.String(), "\n")
		}
		blocks = append(blocks, commands)
	}
	return strings.Join(blocks, "\n\n") + "\n"
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			return fmt.Sprintf("%d: want %q", i+1, w[i])
		case i >= len(w) || g[i] != w[i]:
			return fmt.Sprintf("%d: got %q", i+1, g[i])
		}
	}
	return ""
}

// A player does a transcript's commands.
type player struct {
	t     *testing.T
	state *State
	now   time.Time
	conns map[string]*Conn
	polls map[string]*Poll
	out   strings.Builder
}

func (p *player) start(opts Options) {
	p.state, p.now = NewState(opts), epoch
	p.state.Tick(p.now)
}

// A line is one command: a verb, its arguments and options like user=1.
type line struct {
	t    *testing.T
	text string
	args []string
	opts map[string]string
}

func parseLine(t *testing.T, text string) (verb string, l *line) {
	words := strings.Fields(text)
	l = &line{t: t, text: text, opts: make(map[string]string)}
	for _, w := range words[1:] {
		if key, value, ok := strings.Cut(w, "="); ok {
			l.opts[key] = value
		} else {
			l.args = append(l.args, w)
		}
	}
	return words[0], l
}

func (l *line) arg(i int) string {
	if i >= len(l.args) {
		l.t.Fatalf("%q: want more arguments", l.text)
	}
	return l.args[i]
}

func (l *line) number(key string, absent int) int {
	s, ok := l.opts[key]
	if !ok {
		return absent
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		l.t.Fatalf("%q: %v", l.text, err)
	}
	return n
}

func (l *line) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		l.t.Fatalf("%q: %v", l.text, err)
	}
	return d
}

func (l *line) reason() Reason {
	for _, r := range Reasons() {
		if r.String() == l.opts["reason"] {
			return r
		}
	}
	return Disconnected
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func (p *player) do(text string) {
	p.t.Helper()
	verb, l := parseLine(p.t, text)
	s := p.state
	switch verb {
	case "options":
		p.options(l)
	case "budget": // of a step from here on
		p.state.step = uint64(l.number("work", stepWork))
	case "register":
		if r, err := s.Register(Registration{ID: testID(l.arg(0)), User: l.opts["user"], Topics: words(l.opts["topics"])}); p.fine(err) {
			fmt.Fprintf(&p.out, "expires in %v\n", r.ExpiresAt.Sub(p.now))
		}
	case "unregister":
		fmt.Fprintln(&p.out, "removed:", s.Unregister(testID(l.arg(0))))
	case "add":
		p.fine(s.AddTopic(testID(l.arg(0)), l.arg(1)))
	case "remove":
		p.fine(s.RemoveTopic(testID(l.arg(0)), l.arg(1)))
	case "settopics":
		if !s.SetTopics(p.conn(l), words(l.opts["topics"])) {
			p.out.WriteString("ignored\n")
		}
	case "publish":
		p.publish(l)
	case "admit":
		if p.fine(s.Admit(testID(l.arg(0)))) {
			p.out.WriteString("may connect\n")
		}
	case "attach":
		s.Attach(testID(l.arg(0)), p.newConn(l), l.from(s))
	case "released":
		upTo := Position(l.number("upto", 0))
		s.ConnEnded(ConnReport{Conn: p.conn(l), UpTo: upTo, Last: Position(l.number("last", int(upTo))), Unconfirmed: l.number("unconfirmed", 0), Reason: l.reason()})
	case "drained":
		s.ChunkWritten(p.conn(l))
	case "work":
		for range l.number("times", 1) {
			s.Work()
		}
	case "tick":
		p.now = p.now.Add(l.duration(l.arg(0)))
		s.Tick(p.now)
	case "announce":
		s.Announce()
	case "drain":
		s.Drain()
	case "flush":
		p.flush()
	case "stats":
		p.stats()
	case "left":
		for _, err := range leftovers(s) {
			fmt.Fprintln(&p.out, err)
		}
		p.out.WriteString("nothing else is left\n")
	default:
		if !p.doMore(verb, l) {
			p.t.Fatalf("%q: no such command", text)
		}
	}
	s.Settle()
}

// fine writes an error down and reports whether there was none.
func (p *player) fine(err error) bool {
	if err != nil {
		fmt.Fprintln(&p.out, "error:", err)
	}
	return err == nil
}

func (p *player) conn(l *line) *Conn {
	c := p.conns[l.arg(0)]
	if c == nil {
		p.t.Fatalf("%q: no such connection", l.text)
	}
	return c
}

// options begins again with other options, by their names in [Options].
func (p *player) options(l *line) {
	opts := testOptions()
	for key, value := range l.opts {
		switch field := reflect.ValueOf(&opts).Elem().FieldByName(key); {
		case !field.IsValid():
			p.t.Fatalf("%q: no such option", key)
		case field.Type() == reflect.TypeFor[time.Duration]():
			field.SetInt(int64(l.duration(value)))
		default:
			field.SetInt(int64(l.number(key, 0)))
		}
	}
	p.start(opts)
}

// publish publishes count events, with size bytes each; equal receipts are
// told once.
func (p *player) publish(l *line) {
	message := l.arg(1)
	if size := l.number("size", 0); size > len(message) {
		message += strings.Repeat(".", size-len(message))
	}
	said, first := "", Position(0)
	for i := range l.number("count", 1) {
		text := message
		if i > 0 {
			text = message + strconv.Itoa(i+1)
		}
		ev := Event{Topic: l.arg(0), User: l.opts["user"], Time: p.now.Add(-l.duration("0" + l.opts["ago"])), Message: []byte(text)}
		r, err := p.state.Publish(ev)
		if !p.fine(err) {
			return
		}
		if now := fmt.Sprintf("matched %d, queued %d", r.Matched, r.Queued); now != said {
			if first != 0 {
				fmt.Fprintf(&p.out, "%d to %d: %s\n", first, r.Cursor.Position-1, said)
			}
			said, first = now, r.Cursor.Position
		}
	}
	if last := p.state.window.head; last == first {
		fmt.Fprintf(&p.out, "%d: %s\n", first, said)
	} else {
		fmt.Fprintf(&p.out, "%d to %d: %s\n", first, last, said)
	}
}

// flush takes what waits for the couriers and writes it down, the middle of
// long runs of events left out.
func (p *player) flush() {
	for i := range p.state.outboxes {
		b := p.state.Take(i, &Batch{})
		if b == nil {
			p.out.WriteString("nothing\n")
			continue
		}
		for j := 0; j < len(b.Ops); j++ {
			fmt.Fprintln(&p.out, describe(b, j))
			end := j
			for end < len(b.Ops) && b.Ops[end].Kind == OpDeliver && names(b.Targets(end)) == names(b.Targets(j)) {
				end++
			}
			if end-j > 5 {
				fmt.Fprintf(&p.out, "%s < ... %d more\n", names(b.Targets(j)), end-j-2)
				j = end - 2
			}
		}
		fmt.Fprintf(&p.out, "up to %d\n", b.Head)
	}
}

// describe puts an op into words.
func describe(b *Batch, i int) string {
	op, to := &b.Ops[i], names(b.Targets(i))
	switch op.Kind {
	case OpOpen:
		return to + " opened"
	case OpDeliver:
		if op.Frame.Position == 0 {
			return fmt.Sprintf("%s < %.20s", to, op.Frame.Bytes)
		}
		return fmt.Sprintf("%s < %d %.20s", to, op.Frame.Position, op.Frame.Bytes)
	case OpCatchUp:
		return fmt.Sprintf("%s paused at %d", to, op.At)
	case OpNote:
		return to + " " + describeNote(op.Note)
	case OpChunk:
		if op.Frame.Position == 0 {
			return fmt.Sprintf("%s < %.20s (chunk)", to, op.Frame.Bytes)
		}
		return fmt.Sprintf("%s < %d %.20s (chunk)", to, op.Frame.Position, op.Frame.Bytes)
	case OpLive:
		return to + " live"
	default:
		return fmt.Sprintf("%s closed: %v", to, op.Reason)
	}
}

func names(conns []*Conn) string {
	all := make([]string, len(conns))
	for i, c := range conns {
		all[i] = c.Owner.(string)
	}
	return strings.Join(all, ",")
}

// stats writes down the figures that are not zero.
func (p *player) stats() {
	st := p.state.Stats()
	v := reflect.ValueOf(st)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; !v.Field(i).IsZero() && v.Field(i).Kind() != reflect.Slice {
			fmt.Fprintf(&p.out, "%s %v\n", name, v.Field(i))
		}
	}
	for _, r := range Reasons() {
		if d, m := st.Disconnects[r], st.Removals[r]; d > 0 || m > 0 {
			fmt.Fprintf(&p.out, "%v: %d disconnects, %d removals\n", r, d, m)
		}
	}
}
