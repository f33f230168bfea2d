package main

import (
	"errors"
	"time"
)

// Array errors for which the CSI specification has a code.
var (
	errNotFound = errors.New("not found")
	errExists   = errors.New("exists already")
	errBusy     = errors.New("is in use")
)

// volume is a LUN on an array.
type volume struct {
	id    string
	name  string
	bytes int64
}

// snapshot is a snapshot of a volume.
type snapshot struct {
	id     string
	name   string
	source string
	bytes  int64
	taken  time.Time
}

// export is what an initiator needs to reach a volume.
type export struct {
	portal string
	iqn    string
	lun    int
}

// array is the part of a vendor's API that the controller needs.
type array interface {
	volumes() ([]volume, error)
	createVolume(name string, bytes int64) (volume, error)
	cloneVolume(name string, source volume) (volume, error)
	restoreSnapshot(name string, source snapshot) (volume, error)
	growVolume(id string, bytes int64) error
	deleteVolume(id string) error
	snapshots() ([]snapshot, error)
	createSnapshot(name string, source volume) (snapshot, error)
	deleteSnapshot(taken snapshot) error
	free() (int64, error)
}

// publisher is an array that creates a volume's target when the volume is attached to a node.
type publisher interface {
	publish(id string) (map[string]string, error)
	unpublish(id string) error
}

func volumeWith(list array, fits func(volume) bool) (volume, error) {
	all, err := list.volumes()
	if err != nil {
		return volume{}, err
	}

	for _, one := range all {
		if fits(one) {
			return one, nil
		}
	}

	return volume{}, errNotFound
}

func snapshotWith(list array, fits func(snapshot) bool) (snapshot, error) {
	all, err := list.snapshots()
	if err != nil {
		return snapshot{}, err
	}

	for _, one := range all {
		if fits(one) {
			return one, nil
		}
	}

	return snapshot{}, errNotFound
}
