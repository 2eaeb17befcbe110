package main

import (
	"belfry/api"
	"belfry/config"
)

// show keeps what operators are shown of the configuration in force.
func (b *broker) show(cfg config.Config) {
	rows := cfg.Rows()
	settings := make([]api.Setting, len(rows))
	for i, row := range rows {
		settings[i] = api.Setting(row)
	}
	b.shown.Store(&settings)
}

// settings is the [api.Options.Settings].
func (b *broker) settings() []api.Setting { return *b.shown.Load() }
