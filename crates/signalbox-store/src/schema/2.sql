-- A room that gets events is live: its head is 9007199254740991 (no event has that number), so that a commit to it need
-- not write its row, and its newest event is found in events_room. Now and then the writer settles the live rooms.
CREATE INDEX rooms_live ON rooms (id) WHERE head = 9007199254740991;
CREATE VIEW room_heads AS
    SELECT id, name, project, floor, head = 9007199254740991 AS live,
        CASE head WHEN 9007199254740991 THEN coalesce((SELECT max(seq) FROM events WHERE room = rooms.id), floor)
        ELSE head END AS head
    FROM rooms;

-- The newest event that retention ever deleted, for the head of a log whose newest event is gone.
INSERT INTO meta(key, value) SELECT 'deleted', CAST(coalesce(max(floor), 0) AS TEXT) FROM rooms;
