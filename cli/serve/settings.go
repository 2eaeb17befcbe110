package serve

import (
	"belfry/api"
	"belfry/cli/serve/logging"
	"belfry/config"
)

// LogOptionsOf is how a configuration has it logged.
func LogOptionsOf(cfg config.Config) logging.Options {
	return logging.Options{Level: cfg.LogLevel, Format: cfg.LogFormat, QueueBytes: cfg.LogQueueBytes}
}

// show keeps what operators are shown of the configuration in force.
func (b *Broker) show(cfg config.Config) {
	rows := cfg.Rows()
	settings := make([]api.Setting, len(rows))
	for i, row := range rows {
		settings[i] = api.Setting(row)
	}
	b.shown.Store(&settings)
}

// settings is the [api.Options.Settings].
func (b *Broker) settings() []api.Setting { return *b.shown.Load() }
