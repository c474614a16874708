-- Since when a worker has renewed its lease without a gap: only while somebody did so was another's silence its own.

ALTER TABLE worker ADD COLUMN steady_since {bigint};
