package config

import "strings"

// The rules between flags of one command.

func (in *input) publish(c *Publish) {
	in.broker(&c.Broker)
	fromStdin := c.Message == nil || *c.Message == "-"
	others := c.Lines || c.JSON || c.User != "" || c.ID != "" || c.Key != "" || c.ExpiresIn != 0
	switch {
	case c.File != "" && (c.Topic != "" || others):
		in.problem("file", "--file with a topic, a message or flags about them: want all of that in the lines of the file")
	case c.File == "" && c.Topic == "":
		in.problem("topic", "want a topic to publish to, or --file")
	case c.Lines && !fromStdin:
		in.problem("lines", "--lines with a message: want the lines of stdin instead")
	case c.Lines && (c.ID != "" || c.Key != ""):
		in.problem("lines", "--lines with --id or --key: want those with a single event only")
	case strings.HasPrefix(c.Key, "bk_"):
		in.problem("key", "--key is an API key: want it in $%s or --key-file, where others can't read it", keyVariable)
	}
	if fromStdin {
		c.Message = nil
	}
}

func (in *input) subscribe(c *Subscribe) {
	in.broker(&c.Broker)
	if c.After != "" && c.Last != 0 {
		in.problem("after", "--after with --last: want one of them")
	}
}

func (in *input) health(c *Health) {
	in.broker(&c.Broker)
	if c.Ready && c.Live {
		in.problem("ready", "--ready with --live: want one of them")
	}
}

func (in *input) bench(c *Bench) {
	in.broker(&c.Broker)
	if c.Topics > c.Connections {
		in.problem("topics", "--topics=%d with --connections=%d: want a connection for each topic", c.Topics, c.Connections)
	}
}
