package clients_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"belfry/tests/harness"
)

// pictures is where TestDashboard leaves pictures, if it is set.
var pictures = os.Getenv("PICTURES")

func testDashboard(t *testing.T, w *browser) {
	b := harness.Start(t, jsFlags...)
	feed, err := filepath.Abs("docs/examples/dashboard/feed")
	if err != nil {
		t.Fatal(err)
	}
	rounds := "1"
	if pictures != "" {
		rounds = "40"
	}
	if out, err := exec.CommandContext(t.Context(), harness.Installed(t, "bash"), feed, b.Addr, rounds).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	path := "/docs/examples/dashboard/?broker=" + url.QueryEscape("http://"+b.Addr)
	p := w.open("light", path, nil)
	p.until("document.querySelectorAll('#rows tr').length === 4 && document.querySelectorAll('#chart path').length === 4")
	p.until("document.getElementById('state').textContent === 'live'")

	if pictures != "" {
		p.run("new Promise((over) => setTimeout(over, 1200))")
		p.act("picture", "light", map[string]any{"path": filepath.Join(pictures, "dashboard-light.png")})
		for name, how := range map[string]map[string]any{
			"dark":       {"dark": true},
			"phone":      {"width": 390, "height": 780},
			"phone-dark": {"width": 390, "height": 780, "dark": true},
		} {
			p := w.open(name, path, how)
			p.until("document.querySelectorAll('#chart path').length === 4")
			p.run("new Promise((over) => setTimeout(over, 1200))")
			p.act("picture", name, map[string]any{"path": filepath.Join(pictures, "dashboard-"+name+".png")})
		}
	}

	b.Publish(t, harness.Event("sensors.kitchen", "broken"))
	p.until("document.getElementById('rows').textContent.includes('broken')")
	t.Log("what is published stays text")
	evil := `<img src=x onerror="window.evil=1">`
	b.Publish(t, `{"topic":"sensors.<img src=x onerror=\"window&#46;evil=1\">","message":"<img src=x onerror=\"window.evil=1\">"}`)
	p.until("document.getElementById('rows').textContent.includes(%q)", evil)
	if got := p.run("[document.images.length, window.evil ?? 'no', document.querySelectorAll('#rows tr').length]"); got != `[0,"no",5]` {
		t.Error(got)
	}
}
