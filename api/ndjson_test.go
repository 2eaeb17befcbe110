package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/api/limit"
	"belfry/hub"
)

// A summary is what a stream is answered with.
type summary struct {
	Accepted int    `json:"accepted"`
	Rejected int    `json:"rejected"`
	First    string `json:"first_cursor"`
	Last     string `json:"last_cursor"`
	Errors   []struct {
		Line   int    `json:"line"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"errors"`
}

// lines returns the errors as line and code.
func (s *summary) lines() (all []string) {
	for _, e := range s.Errors {
		all = append(all, fmt.Sprint(e.Line, " ", e.Code))
	}
	return all
}

// stream publishes a stream.
func (b *broker) stream(body io.Reader, header ...string) (s summary) {
	b.t.Helper()
	b.answer(serve(b, request("POST", "/publish", body, append(header, "Content-Type", "application/x-ndjson")...)), &s)
	return s
}

func line(n int) string { return fmt.Sprintf(`{"topic":"cats","message":%d}`, n) }

func TestStream(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(" ", 16<<10)
	for name, c := range map[string]struct {
		body      string
		published string   // their messages
		errors    []string // lines and codes
	}{
		"nothing":        {"", "", nil},
		"an end of line": {"\n", "", nil},
		"no end of line": {line(1) + "\n" + line(2), "1 2", nil},
		"CRLF":           {line(1) + "\r\n" + line(2) + "\r\n", "1 2", nil},
		"blank lines":    {"\n \t\n\r\n" + line(1) + "\n\n" + line(2) + "\n{}\n\n", "1 2", []string{"7 invalid_message"}},
		"spaces":         {"  " + line(1) + "\t\n", "1", nil},
		"a lone CR":      {line(1) + "\r" + line(2) + "\n", "", []string{"1 malformed_json"}},
		"two in a line":  {line(1) + line(2) + "\n" + line(3), "3", []string{"1 malformed_json"}},
		"over lines":     {"{\"topic\":\"cats\",\n\"message\":1}\n" + line(2), "2", []string{"1 malformed_json", "2 malformed_json"}},
		"a byte order mark": {
			"\ufeff" + line(1) + "\n" + line(2), "2", []string{"1 malformed_json"}},
		"an array":      {"[" + line(1) + "]\n" + line(2), "2", []string{"1 malformed_json"}},
		"NUL":           {"\x00\n" + line(2), "2", []string{"1 malformed_json"}},
		"invalid UTF-8": {"\xff\n{\"topic\":\"\xff\",\"message\":1}\n" + line(2), "2", []string{"1 malformed_json", "2 malformed_json"}},
		"names":         {`{"topic":"a..b","message":1}` + "\n" + `{"topic":"$a","message":1}` + "\n" + `{"topc":"a","message":1}`, "", []string{"1 invalid_topic", "2 topic_reserved", "3 unknown_member"}},
		"too large":     {`{"topic":"cats","message":"` + strings.Repeat("x", testMaxMessage+1) + `"}` + "\n" + line(2), "2", []string{"1 message_too_large"}},
		"too deep":      {`{"topic":"cats","message":[[[[[[[[]]]]]]]]}` + "\n" + line(2), "2", []string{"1 too_deep"}},
		"a cut one":     {line(1) + "\n" + line(2)[:10], "1", []string{"2 malformed_json"}},
		"the longest":   {(long + line(1))[len(line(1))+1:] + "\n" + line(2), "1 2", nil},
		"over-long":     {line(1) + "\n" + long + line(2) + "\n" + line(3) + "\n", "1 3", []string{"2 payload_too_large"}},
		"very long":     {strings.Repeat(long, 5) + "\n" + line(3) + "\n", "3", []string{"1 payload_too_large"}},
		"long at last":  {line(1) + "\n" + strings.Repeat(long, 5), "1", []string{"2 payload_too_large"}},
		"long between":  {long + long + "\n" + long + long + "\n" + line(3), "3", []string{"1 payload_too_large", "2 payload_too_large"}},
	} {
		for way, body := range map[string]io.Reader{"at once": strings.NewReader(c.body), "by bytes": oneByOne{strings.NewReader(c.body)}} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				b := watched(t)
				got := b.stream(body)
				var want []string
				for n := range strings.FieldsSeq(c.published) {
					want = append(want, "cats "+n)
				}
				if got.Accepted != len(want) || got.Rejected != len(c.errors) || !reflect.DeepEqual(got.lines(), c.errors) {
					t.Errorf("got %+v, want %d and errors %q", got, len(want), c.errors)
				}
				if (got.First == "") != (len(want) == 0) || (got.Last == "") != (len(want) == 0) || len(want) < 2 != (got.First == got.Last) {
					t.Errorf("cursors %q and %q", got.First, got.Last)
				}
				b.delivers(want...)
			})
		}
	}
}

// oneByOne is read a byte at a time, as from a slow line.
type oneByOne struct{ io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.Reader.Read(p[:min(1, len(p))]) }

// A stream that breaks off says where, however many of its lines were bad.
func TestStreamBreaksOff(t *testing.T) {
	t.Parallel()
	bad := strings.Repeat("bad\n", 150)
	for name, c := range map[string]struct {
		end  error
		code string
	}{
		"broken":      {io.ErrUnexpectedEOF, "malformed_request"},
		"out of time": {os.ErrDeadlineExceeded, "request_timeout"},
		"reset":       {errors.New("reset"), "malformed_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := watched(t)
			got := b.stream(io.MultiReader(strings.NewReader(bad+line(1)+"\n"+line(2)+"\n"+line(3)), failing{c.end}))
			if got.Accepted != 2 || got.Rejected != 150 || len(got.Errors) != 101 || got.Errors[0].Line != 1 || got.Errors[99].Line != 100 {
				t.Fatalf("got %d accepted, %d rejected, %q", got.Accepted, got.Rejected, got.lines())
			}
			if last := got.Errors[100]; last.Line != 153 || last.Code != c.code {
				t.Errorf("at last %+v", last)
			}
			b.delivers("cats 1", "cats 2")
		})
	}
}

// endless is a stream that goes on until it is told to end, line by line.
type endless struct {
	lines chan string
	rest  string
	end   chan struct{} // gives the reader the error of a deadline
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		select {
		case e.rest = <-e.lines:
		case <-e.end:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// deadlines is a response whose reading can be ended.
type deadlines struct {
	*httptest.ResponseRecorder
	end chan struct{}
}

func (d *deadlines) SetWriteDeadline(time.Time) error { return nil }

func (d *deadlines) SetReadDeadline(t time.Time) error {
	if t.Before(time.Unix(2, 0)) {
		select {
		case d.end <- struct{}{}:
		default:
		}
	}
	return nil
}

// A broker that stops ends streams, and answers what it has taken.
func TestStreamWhenStopping(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	b := watched(t, func(_ *hub.Options, o *api.Options) { o.Stopping = stopping })
	in := &endless{lines: make(chan string), end: make(chan struct{}, 1)}
	w := &deadlines{httptest.NewRecorder(), in.end}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		b.ServeHTTP(w, request("POST", "/publish", in, "Content-Type", "application/x-ndjson"))
	}()
	for i := range 3 {
		in.lines <- line(i) + "\n"
		if got := <-b.frames; got != fmt.Sprint("cats ", i) { // it does not wait for more
			t.Errorf("got %s", got)
		}
	}
	close(stopping)
	<-answered
	var got summary
	b.answer(w.ResponseRecorder, &got)
	if got.Accepted != 3 || !reflect.DeepEqual(got.lines(), []string{"4 draining"}) {
		t.Errorf("got %+v", got)
	}
}

// TestStreamWhenDraining: lines that the hub no longer accepts are reported one by one.
func TestStreamWhenDraining(t *testing.T) {
	t.Parallel()
	b := watched(t)
	if err := b.hub.Drain(); err != nil {
		t.Fatal(err)
	}
	if got := b.stream(strings.NewReader("\n" + line(1) + "\n" + line(2))); got.Accepted != 0 || !reflect.DeepEqual(got.lines(), []string{"2 draining"}) {
		t.Errorf("got %+v", got)
	}
}

// The rate slows a stream, and refuses nothing of it.
func TestStreamRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, showing, func(_ *hub.Options, o *api.Options) {
			o.Clock = nil
			o.Publishers = limit.NewPublishers(limit.PublishLimits{Other: 10}, nil)
		})
		begun := time.Now()
		var body strings.Builder
		for i := range 60 {
			body.WriteString(line(i) + "\n")
		}
		got := b.stream(strings.NewReader(body.String()))
		if took := time.Since(begun); got.Accepted != 60 || len(got.Errors) > 0 || took < 4900*time.Millisecond || took > 5100*time.Millisecond {
			t.Errorf("after %v: %+v", took, got)
		}
		if page := b.call("GET", "/metrics", "").Body.String(); !strings.Contains(page, `belfry_refused_total{limit="max_publish_rate"} 0`) {
			t.Error("a stream that waits counts as refused")
		}
		b.stop()
	})
}

// A list that the rate never permits is refused for good, and not to be sent
// again and again.
func TestListBeyondRate(t *testing.T) {
	t.Parallel()
	b := newBroker(t, limited(limit.Limits{}, limit.PublishLimits{Other: 3}))
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(catsBody+",", n), ",") + "]" }
	problem(t, b.call("POST", "/publish", list(4)), 413, "list_too_long")
	problem(t, b.call("POST", "/publish", list(3)), 429, "too_many_publishes")
	if n := b.stats().Published; n != 0 {
		t.Errorf("%d events were published", n)
	}
	b = newBroker(t, limited(limit.Limits{}, limit.PublishLimits{Other: 3}))
	if w := b.call("POST", "/publish", list(3)); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A stream holds only a few lines of what it reads.
func TestStreamMemory(t *testing.T) {
	b := newBroker(t, func(h *hub.Options, _ *api.Options) { h.HistoryEvents = 10 })
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const count = 20_000
	read, write := io.Pipe()
	grown := make(chan int64, 1)
	go func() {
		out := bufio.NewWriterSize(write, 32<<10)
		before := uint64(0)
		for i := range count {
			if i == count/5 {
				before = heap()
			}
			fmt.Fprintf(out, `{"topic":"cats","message":"%0100d"}`+"\n", i)
		}
		out.Flush()
		grown <- int64(heap()) - int64(before)
		write.Close()
	}()
	if got := b.stream(read); got.Accepted != count || len(got.Errors) > 0 {
		t.Fatalf("got %+v", got)
	}
	if n := <-grown; n > 1<<19 { // 16,000 lines are 2 MB
		t.Errorf("the heap has grown by %d bytes", n)
	}
}

// TestStreamOverHTTP: what has come is published, though the next line has begun.
func TestStreamOverHTTP(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.BodyTimeout, o.WriteTimeout = time.Hour, time.Hour })
	b.connect(b.register(`{"user_id":1}`))
	server := httptest.NewServer(b)
	defer server.Close()
	read, write := io.Pipe()
	answered := make(chan string, 1)
	go func() {
		response, err := server.Client().Post(server.URL+"/publish", "application/x-ndjson", read)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body) // what is missing shows
		answered <- string(text)
	}()
	for i := range 3 {
		if _, err := io.WriteString(write, line(i)[i:]+"\n"+line(i + 1)[:i+1]); err != nil {
			t.Fatal(err)
		}
		if got := <-b.frames; got != fmt.Sprint(i) {
			t.Errorf("got %s", got)
		}
	}
	write.Close()
	if got := <-answered; !strings.HasPrefix(got, `{"accepted":3,"rejected":1,"first_cursor":"`) {
		t.Error(got)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(line(1)+"\n"+line(2)), byte(3))
	f.Add([]byte("\ufeff\r\n\n{}\n"+strings.Repeat("x", 300)+"\n"+line(3)+"\n"), byte(0))
	f.Add([]byte("{\"topic\":\"a\",\"message\":\"\xff\"}\n\n[]\n"), byte(200))
	short := func(_ *hub.Options, o *api.Options) { o.MaxBody = 200 }
	b, single := newBroker(f, wide, short), newBroker(f, wide, short)
	f.Fuzz(func(t *testing.T, body []byte, pieces byte) {
		b.t, single.t = t, t
		before := b.stats().Published
		parts := []io.Reader{}
		for rest := body; len(rest) > 0; {
			n := min(len(rest), int(pieces)+1)
			parts = append(parts, strings.NewReader(string(rest[:n])))
			rest = rest[n:]
		}
		got := b.stream(io.MultiReader(parts...))
		// Line by line it is the same as by requests of their own.
		accepted, rejected := 0, 0
		for text := range strings.SplitAfterSeq(string(body), "\n") {
			switch blank := strings.Trim(text, " \t\r\n") == ""; {
			case blank && len(text) <= 200:
			case len(text) <= 200 && !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") && single.call("POST", "/publish", text).Code == 200:
				accepted++
			default:
				rejected++
			}
		}
		if got.Accepted != accepted || got.Rejected != rejected || b.stats().Published-before != uint64(accepted) {
			t.Errorf("got %+v, want %d and %d", got, accepted, rejected)
		}
	})
}
