package limit

import (
	"testing"
	"testing/fstest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Above the limit it is full, until a tenth less is held.
func TestMemoryGuard(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off") // the limit of this test is not that of the process
	var r MemoryReading
	core, logs := observer.New(zapcore.InfoLevel)
	g := NewMemoryGuard(zap.New(core), func() MemoryReading { return r })
	g.SetLimit(1000, 1<<40)
	for _, c := range []struct {
		process, kernel int64
		full            bool
	}{
		{500, 0, false}, {1000, 0, false}, {500, 501, true}, {1000, 0, true}, {901, 0, true}, {800, 100, true}, {899, 0, false},
		{950, 0, false}, {1001, 0, true}, {0, 0, false},
	} {
		r = MemoryReading{c.process, c.kernel}
		g.Look()
		if g.Overloaded(ToBegin) != c.full || g.Overloaded(ToPublish) {
			t.Errorf("holding %+v: full %v", r, g.Overloaded(ToBegin))
		}
	}
	if logs.Len() != 4 {
		t.Errorf("logged %v", logs.All())
	}
	r = MemoryReading{2000, 0}
	g.Look()
	g.SetLimit(3000, 0)
	g.Look()
	if g.Overloaded(ToBegin) {
		t.Error("a higher limit has no effect")
	}
}

// Above the limit some may do more than others.
func TestMemoryReserve(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	var held int64
	core, logs := observer.New(zapcore.InfoLevel)
	g := NewMemoryGuard(zap.New(core), func() MemoryReading { return MemoryReading{process: held} })
	g.SetLimit(1000, 200)
	for _, c := range []struct {
		held    int64
		refused Need // and those before it
	}{
		{1000, 0}, {1001, 1}, {1100, 1}, {1101, 2}, {1200, 2}, {1201, 3}, {5000, 3}, {1080, 3}, {1079, 2}, {990, 2}, {989, 1}, {900, 1},
		{899, 0}, {1201, 3}, {0, 0},
	} {
		held = c.held
		g.Look()
		for n := range Needs {
			if g.Overloaded(n) != (n < c.refused) {
				t.Errorf("holding %d: need %d is refused: %v", held, n, g.Overloaded(n))
			}
		}
	}
	if n := logs.Len(); n != 8 {
		t.Errorf("%d lines are logged: %v", n, logs.All())
	}
	g.SetLimit(2000, 0)
	if got := g.limitOf(ToPublishByKey); got != 2200 {
		t.Errorf("unless it is set the reserve ends at %d", got)
	}
}

func TestReadMemory(t *testing.T) {
	t.Parallel()
	if r := ReadMemory(); r.process < 1<<20 || r.kernel < 0 {
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
