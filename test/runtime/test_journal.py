from roma_ros.runtime.journal import Journal, MAX_ENTRIES, MAX_RECALLED

S = 1_000_000_000


def test_recalls_what_shares_words_then_the_newest_in_order_of_time():
    journal = Journal()
    journal.add(10 * S, 'you said', 'The red cup fell from the table.')
    for minute in range(1, 9):
        journal.add(minute * 60 * S, 'you said', f'Person {minute} walks by.')
    lines = journal.recall('what fell from the table?', 10 * 3600 * S)
    assert len(lines) == MAX_RECALLED
    assert lines[0] == '9 hours ago you said: The red cup fell from the table.'
    assert [line[-10:] for line in lines[1:]] == [f'{n} walks by.'[-10:] for n in (5, 6, 7, 8)]


def test_what_the_transcript_still_holds_is_left_out():
    journal = Journal()
    held = [True]
    journal.add(0, 'you said', 'hello there', lambda: held[0])
    assert journal.recall('hello', 5 * S) == []
    held[0] = False
    assert journal.recall('hello', 5 * S) == ['5 seconds ago you said: hello there']


def test_is_bounded_and_leaves_out_silence():
    journal = Journal()
    journal.add(0, 'you said', ' \n')
    assert not journal.entries
    for second in range(MAX_ENTRIES + 10):
        journal.add(second * S, 'you said', f'{second}')
    assert len(journal.entries) == MAX_ENTRIES
    assert journal.entries[0].text == '10'


def test_times_are_told_in_words():
    journal = Journal()
    journal.add(0, 'you were asked', 'why')
    told = [journal.recall('why', s * S)[0].split(' ago')[0] for s in (-5, 119, 120, 7199, 7200)]
    assert told == ['0 seconds', '119 seconds', '2 minutes', '119 minutes', '2 hours']
