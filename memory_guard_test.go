package main

import (
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"belfry/api/limit"
)

// Above the limit it is full, until a tenth less is held.
func TestMemoryGuard(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off") // the limit of this test is not that of the process
	var r memoryReading
	core, logs := observer.New(zapcore.InfoLevel)
	g := newMemoryGuard(zap.New(core), func() memoryReading { return r })
	g.setLimit(1000, 1<<40)
	for _, c := range []struct {
		process, kernel int64
		full            bool
	}{
		{500, 0, false}, {1000, 0, false}, {500, 501, true}, {1000, 0, true}, {901, 0, true}, {800, 100, true}, {899, 0, false},
		{950, 0, false}, {1001, 0, true}, {0, 0, false},
	} {
		r = memoryReading{c.process, c.kernel}
		g.look()
		if g.overloaded(limit.ToBegin) != c.full || g.overloaded(limit.ToPublish) {
			t.Errorf("holding %+v: full %v", r, g.overloaded(limit.ToBegin))
		}
	}
	if logs.Len() != 4 {
		t.Errorf("logged %v", logs.All())
	}
	r = memoryReading{2000, 0}
	g.look()
	g.setLimit(3000, 0)
	g.look()
	if g.overloaded(limit.ToBegin) {
		t.Error("a higher limit has no effect")
	}
}

// Above the limit some may do more than others.
func TestMemoryReserve(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	var held int64
	core, logs := observer.New(zapcore.InfoLevel)
	g := newMemoryGuard(zap.New(core), func() memoryReading { return memoryReading{process: held} })
	g.setLimit(1000, 200)
	for _, c := range []struct {
		held    int64
		refused limit.Need // and those before it
	}{
		{1000, 0}, {1001, 1}, {1100, 1}, {1101, 2}, {1200, 2}, {1201, 3}, {5000, 3}, {1080, 3}, {1079, 2}, {990, 2}, {989, 1}, {900, 1},
		{899, 0}, {1201, 3}, {0, 0},
	} {
		held = c.held
		g.look()
		for n := range limit.Needs {
			if g.overloaded(n) != (n < c.refused) {
				t.Errorf("holding %d: need %d is refused: %v", held, n, g.overloaded(n))
			}
		}
	}
	if n := logs.Len(); n != 8 {
		t.Errorf("%d lines are logged: %v", n, logs.All())
	}
	g.setLimit(2000, 0)
	if got := g.limitOf(limit.ToPublishByKey); got != 2200 {
		t.Errorf("unless it is set the reserve ends at %d", got)
	}
}

// What strangers hold keeps nobody with a key from publishing.
func TestPublishFromReserve(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	b := startKeyed(t, "keys:\n"+entry("backend", "publish, register, admin", ">"), "--max-memory=1", "--memory-reserve=1099511627776")
	eventually(t, "the guard has looked", func() bool {
		return strings.Contains(b.call(t, "GET", "/health/ready", "").body, "over_capacity")
	})
	for target, want := range map[string]int{"/register": 503, "/publish": 200} {
		body := map[string]string{"/register": `{"user_id": 1}`, "/publish": event("cats", "x")}[target]
		if status, answer := b.ask(t, "backend", "POST", target, body); status != want {
			t.Errorf("%s: %d %s", target, status, answer)
		}
	}
	if status, page := b.ask(t, "backend", "GET", "/metrics", ""); !strings.Contains(page, "belfry_memory_reserve_bytes 1.099511627776e+12\n") {
		t.Errorf("the metrics say something else: %d", status)
	}
}

// Without memory nothing is begun, everybody is told so in a way that they
// understand, and what there is can be looked at.
func TestOutOfMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	b := start(t, "--max-memory=1", "--close-timeout=100ms")
	eventually(t, "the guard has looked", func() bool {
		return strings.Contains(b.call(t, "GET", "/health/ready", "").body, "over_capacity") // before, it says that it starts
	})
	b.call(t, "GET", "/health/ready", "").problem(t, 503, "over_capacity")
	b.call(t, "POST", "/publish", event("cats", "x")).problem(t, 503, "over_capacity")
	b.call(t, "POST", "/register", `{"user_id": 1}`).problem(t, 503, "over_capacity")
	b.socket(t, opening("/ws?topic=cats")).answer(t).problem(t, 503, "over_capacity")
	w := b.socket(t, v1Opening("/ws?topic=cats"))
	w.acceptedV1(t)
	if m := w.v1(t); m.Type != "closing" || m.Reason != "over_capacity" {
		t.Errorf("got %+v", m)
	}
	w.closed(t, 1013, "over_capacity")
	if ev, ok := b.stream(t, "/sse?topic=cats").next(); ok {
		t.Errorf("an EventSource gets %v", ev)
	}
	if got := b.call(t, "GET", "/health", ""); got.status != 200 {
		t.Errorf("got %+v", got)
	}
	if b.metric(t, "belfry_memory_limit_bytes") != 1 || b.metric(t, "belfry_memory_bytes") < 1<<20 || b.metric(t, `belfry_refused_total{limit="max_memory"}`) != 5 {
		t.Error("the metrics say something else")
	}
}

func TestReadMemory(t *testing.T) {
	t.Parallel()
	if r := readMemory(); r.process < 1<<20 || r.kernel < 0 {
		t.Errorf("read %+v", r)
	}
	const text = "sockets: used 100\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 37\nUDP: inuse 1 mem 9\n"
	for text, want := range map[string]int64{text: 37, "": 0, "TCP: inuse 5": 0, "TCP: mem x": 0, "TCP: mem": 0} {
		if got := socketPages(text); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestAvailableMemory(t *testing.T) {
	t.Parallel()
	const meminfo = "MemTotal:       1024 kB\nMemFree:         512 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is told":    {nil, 0},
		"the machine":        {map[string]string{"proc/meminfo": meminfo}, 1 << 20},
		"no limit of groups": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 1 << 20},
		"version 2":          {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "4096\n"}, 4096},
		"the group above":    {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "8192\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 8192},
		"in a container":     {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4096\n"}, 4096},
		"version 1":          {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu:/x\n3:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4096\n"}, 4096},
		"version 1, seen from inside": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/docker/a\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "4096\n"}, 4096},
		"more than there is": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1 << 20},
		"another controller": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu:/\n", "sys/fs/cgroup/memory.max": "4096\n"}, 1 << 20},
	} {
		files := make(fstest.MapFS)
		for name, text := range c.files {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := availableMemory(files); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
