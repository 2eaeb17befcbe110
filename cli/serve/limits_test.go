package serve

import (
	"fmt"
	"testing"

	"belfry/config"
)

// TestLimits: the limits of a configuration take effect together, or not at all.
func TestLimits(t *testing.T) {
	t.Parallel()
	limits := newLimits(nil)
	cfg := config.Config{ProxyHeader: "x-forwarded-for", MaxPublishRate: 7, Keys: []config.Key{{Name: "a"}, {Name: "b", Rate: 0.5}}}
	use, err := limits.of(cfg)
	if err != nil {
		t.Fatal(err)
	}
	use()
	for name, want := range map[string]string{"a": "[\"publish\";q=7;w=1]", "b": "[\"publish\";q=1;w=2]", "none": "[\"publish\";q=7;w=1]"} {
		if s, _ := limits.publishers.Key(name, 1); fmt.Sprint(s.Policy) != want {
			t.Errorf("%s: %v", name, s.Policy)
		}
	}
	cfg.TrustedProxies = []string{"nobody"}
	cfg.MaxPublishRate = 0
	if _, err := limits.of(cfg); err == nil {
		t.Error("a proxy without an address is taken")
	}
	if s, _ := limits.publishers.Key("a", 0); s.Policy == nil {
		t.Error("what failed has changed something")
	}
}
