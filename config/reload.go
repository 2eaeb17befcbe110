package config

import (
	"io"
	"reflect"
)

// Reload reads the settings again, as [Parse] does, for a running broker. Changes of
// settings with the tag reload are taken over. Other changes are returned by their names
// in the file. They need a restart, and next keeps their old values. So next is what the
// broker runs with from now on.
//
// Settings that must fit together (see conflicts) are taken over together or not at all.
func Reload(running Config, args, environ []string) (next Config, restart []string, err error) {
	in := input{environ: ours(environ), wrong: map[string]bool{}, again: true}
	next, err = settingsOf(in.parse(args, "", io.Discard, io.Discard))
	if err != nil {
		return running, nil, err
	}
	var was, is commandLine
	before, err := newParser(&was, &input{})
	if err != nil {
		return running, nil, err
	}
	after, err := newParser(&is, &input{})
	if err != nil {
		return running, nil, err
	}
	was.Serve, is.Serve = running, next
	for i, flag := range after.Model.DefaultCmd.Flags {
		old := before.Model.DefaultCmd.Flags[i].Target
		if flag.Tag.Get("reload") == "" && !same(old, flag.Target) {
			restart = append(restart, inFile(flag))
			flag.Target.Set(old)
		}
	}
	return is.Serve, restart, nil
}

func same(a, b reflect.Value) bool {
	empty := a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0
	return empty || reflect.DeepEqual(a.Interface(), b.Interface())
}
