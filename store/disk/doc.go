// Package disk keeps a log in one file of a directory, in a B+tree (go.etcd.io/bbolt). One
// goroutine owns a [Store]. What [Store.Commit] has returned for without an error is
// synced: it survives the end of the process and of the machine.
//
// # The file
//
// belfry.db has four buckets. Numbers are big endian.
//
//   - meta has one value, "log": the version of the format, the log's epoch, the number of
//     commits, the highest position that was given, the link to the newest record, the link
//     to the last one that retention took, and the bytes of all records. Its last 4 bytes
//     are a checksum of the others.
//   - log has a record for each event. Its key is the position, of 8 bytes. Its value is a
//     checksum of the key and the rest of the value, the link to the record before it, and
//     the event.
//   - keys has what is remembered of a publication with a key, by the key's name: when, the
//     print of what was published, and the id and position of each event.
//   - keytimes has the times and names of those, in the order in which they are forgotten.
//
// A link is a position of 8 bytes and a checksum of 4 bytes. So the records are a chain: one
// that was changed is noticed, and so is one that is missing. The checksums are CRC-32C.
//
// # Errors
//
// After a write or a sync that failed, nobody knows what of it is on the disk, and what the
// library reads of the file may be what is only in the page cache. So the file is closed,
// its cached pages are dropped, and it is opened anew: the number of commits says whether
// the last one is there. See [Store.Commit].
package disk
