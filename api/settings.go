package api

// A Setting is one setting of the configuration, as operators see it.
type Setting struct {
	Group   string `json:"group"`
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default bool   `json:"default"` // it has its default value
	Reload  bool   `json:"reload"`  // it can change while the broker runs
	Help    string `json:"help,omitzero"`
}

// settingsView answers GET /config.
type settingsView struct {
	Settings []Setting `json:"settings"`
}

func (s *Server) getConfig(x *exchange) (any, error) {
	x.Header()["Cache-Control"] = noStore
	settings := s.opts.Settings()
	if settings == nil {
		settings = []Setting{}
	}
	return settingsView{settings}, nil
}
