# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# One client of the soak, in a process of its own: it sends whatever clients
# send, one request after the other without a rest, remembers what became of
# each of its tokens, and so knows what each answer must be.  What depends on
# whether the database was there at that moment it writes down for Soak:
#
#   excused KIND SENT TOOK         503, where only an outage may excuse it
#   late KIND SINCE SENT           good, SENT - SINCE after its revocation
#   wrong KIND CODE SENT TOOK ID   no excuse
#   count KIND CODE N              at the end
package Bench::Mixed;

use strict;
use warnings;

use AuthnToken::Token qw(make_token);
use Bench::Client ();
use Bench::Tokens ();
use Digest::SHA qw(sha256_hex);
use IO::Handle ();
use JSON::PP ();
use POSIX ();
use Socket;
use Time::HiRes qw(time);

# Seconds: AuthTokenRotationGrace, and how far from its end nothing is asked.
our $GRACE = 10;
my $MARGIN = 4;
# Tokens in use at a time, and revoked ones that are remembered.
my ($POOL, $GONE) = (25, 200);
# A hung request is not waited for longer.
my $PATIENCE = 40;

# How often of 100: see the functions.  With few tokens left those that end
# some rest, with many those that make some.
my @turns = ([ 42, \&show_known ], [ 18, \&show_fresh ], [ 6, \&show_unknown ],
    [ 3, \&show_dead ], [ 7, \&show_gone ], [ 8, \&send_malformed ],
    [ 5, \&log_in ], [ 2, \&log_in_badly ], [ 3, \&rotate ],
    [ 2, \&show_superseded ], [ 2, \&revoke ], [ 1, \&revoke_by_hand ],
    [ 1, \&list ]);

my $place = '/token/file.txt';
my $json = 'application/json';
my @malformed = (
    (map { [ get($place, $_), 401 ] } undef, 'Token', 'Token a b',
        'Token tok_short', "Token tok_\xff" . 'x' x 35, 'Bearer ',
        'Basic !!!', 'Digest username="x"', 'Token ' . 'x' x 4000,
        'Token tok_' . '0' x 35 . '1'),
    (map { [ post('/login/', undef, $_, $json), 400 ] } '{"username":', '[]',
        '{"username":"user1"}', "{\"username\":\"a\xff\",\"password\":\"b\"}",
        '{"username":"a","username":"b","password":"c"}'),
    [ post('/login/', undef, 'username=%zz&password=b',
        'application/x-www-form-urlencoded'), 400 ],
    [ post('/login/', undef, 'username', 'text/plain'), 415 ],
    [ post('/login/', undef, 'x' x 17000, $json), 413 ],
    [ get('/login/'), 405 ],
    [ "GET $place HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization Token\r\n\r\n",
        400 ],
);

# start(port, number, until, known, dead => [n, n], dbh => sub, out => path):
# the pid of a process that works till then.
sub start {
    my (%arg) = @_;

    defined(my $pid = fork) or die "fork: $!\n";
    return $pid if $pid;
    @SIG{qw(INT TERM HUP)} = ('DEFAULT') x 3;
    $SIG{PIPE} = 'IGNORE';
    my $good = eval {
        work(bless { %arg, parent => getppid, pool => [], gone => [],
            superseded => [], by_hand => [], count => {} }, __PACKAGE__);
        1;
    };
    syswrite STDERR, "# soak: $@" if !$good;
    POSIX::_exit($good ? 0 : 1);
}

sub work {
    my ($self) = @_;
    my @wheel = map { my ($n, $do) = @$_; ($do) x $n } @turns;

    srand $self->{number} + 1000 * $$;
    open $self->{report}, '>', $self->{out} or die "$self->{out}: $!\n";
    $self->{report}->autoflush;
    $self->log_in for 1 .. $POOL;
    while (time < $self->{until} && getppid == $self->{parent}) {
        $wheel[ rand @wheel ]->($self);
        $self->show_stolen;
        $self->show_by_hand;
    }
    for my $kind (sort keys %{ $self->{count} }) {
        my $of = $self->{count}{$kind};
        print { $self->{report} } map { "count $kind $_ $of->{$_}\n" }
            sort keys %$of;
    }
    close $self->{report} or die "$self->{out}: $!\n";
    return;
}

# --- requests ---

# Each from an address of its own, or it would be the throttle that answers.
sub address { return join '.', 10, map { int rand 256 } 1 .. 3 }

sub head {
    my ($method, $path, $credential, @more) = @_;
    return join "\r\n", "$method $path HTTP/1.1", 'Host: 127.0.0.1',
        defined $credential ? "Authorization: $credential" : (), @more,
        'X-Client: @', '', '';
}

sub get { return head('GET', @_) }

sub post {
    my ($path, $credential, $body, $type) = @_;
    return head('POST', $path, $credential, "Content-Type: $type",
        'Content-Length: ' . length $body) . $body;
}

# ask($request): { code, sent, took, head, body }; `cut' is a code, too.
sub ask {
    my ($self, $request) = @_;
    my %answer = (sent => time, head => '', body => '');

    $request =~ s/^X-Client: @/'X-Client: ' . address()/me;
    my $good = eval {
        my $client = $self->{client} ||= connect_to($self->{port});
        ($answer{code}) = keys %{ $client->send($request) };
        @answer{qw(head body)} = @$client{qw(head body)};
        delete $self->{client} if $client->{head} =~ /^Connection: close/mi;
        1;
    };
    if (!$good) {
        delete $self->{client};
        $answer{code} = 'cut';
    }
    $answer{took} = time - $answer{sent};
    return \%answer;
}

sub connect_to {
    my ($port) = @_;
    my $client = Bench::Client->new($port);
    setsockopt $client->{socket}, SOL_SOCKET, SO_RCVTIMEO,
        pack 'l!l!', $PATIENCE, 0 or die "setsockopt: $!\n";
    return $client;
}

# judge($kind, $answer, $right, $excused, $token): the code.
sub judge {
    my ($self, $kind, $answer, $right, $excused, $token) = @_;
    my ($code, $sent, $took) = @$answer{qw(code sent took)};

    $self->{count}{$kind}{$code}++;
    return $code if $code eq $right;
    $self->note($code eq '503' && $excused
        ? ('excused', $kind, $sent, $took)
        : ('wrong', $kind, $code, $sent, $took,
            substr sha256_hex($token // ''), 0, 8));
    return $code;
}

# judge_login: of all passwords half of the processors hash some, and four
# times as many wait: the rest are told to come back, right or wrong.
sub judge_login {
    my ($self, $kind, $answer, $right) = @_;
    my $busy = $answer->{code} eq '429'
        && $answer->{head} =~ /^Retry-After: 1\r?$/mi;
    return $self->judge($kind, $answer, $busy ? 429 : $right, 1);
}

sub note {
    my ($self, @words) = @_;
    print { $self->{report} } join(' ',
        map { /^\d+\.\d/ ? sprintf '%.4f', $_ : $_ } @words), "\n";
    return;
}

sub show {
    my ($self, $token) = @_;
    return $self->ask(get($place, "Token $token"));
}

# take($list): a random one, off the list.
sub take {
    my ($list) = @_;
    return @$list ? splice(@$list, rand @$list, 1) : undef;
}

# spare: a token to be ended; some are always left.
sub spare {
    my ($self) = @_;
    return @{ $self->{pool} } > $POOL / 5 ? take($self->{pool}) : undef;
}

sub member {
    my ($answer, $name) = @_;
    my $value = eval { JSON::PP::decode_json($answer->{body})->{$name} };
    return $value // die "no $name: $answer->{body}\n";
}

# --- tokens that must be good ---

sub show_known {
    my ($self) = @_;
    my $token = $self->{pool}[ rand @{ $self->{pool} } ];
    $self->judge('known', $self->show($token), 200, 0, $token);
    return;
}

# Of so many that hardly one comes a second time while it is remembered.
sub show_fresh {
    my ($self) = @_;
    my $token = Bench::Tokens::token(1 + int rand $self->{known});
    $self->judge('fresh', $self->show($token), 200, 1, $token);
    return;
}

# A token just made is known when it was seen twice: an answer of the database
# that meets the news of other revocations is not kept.
sub adopt {
    my ($self, $token) = @_;
    my $seen = 0;

    for (1 .. $PATIENCE * 10) {
        if ($self->judge('new', $self->show($token), 200, 1, $token)
            eq '200') {
            last if ++$seen == 2;
            next;
        }
        $seen = 0;
        select undef, undef, undef, 0.1;
    }
    push @{ $self->{pool} }, $token;
    return;
}

sub log_in {
    my ($self) = @_;
    my $n = $self->{number};

    return if @{ $self->{pool} } >= 2 * $POOL;
    my $answer = $self->ask(post('/login/', undef,
        JSON::PP::encode_json({ username => Bench::Tokens::user($n),
            password => Bench::Tokens::password($n) }), $json));

    $self->adopt(member($answer, 'token'))
        if $self->judge_login('login', $answer, 200) eq '200';
    return;
}

sub list {
    my ($self) = @_;
    my $token = $self->{pool}[ rand @{ $self->{pool} } ];
    $self->judge('list', $self->ask(get('/tokens/', "Token $token")), 200, 1,
        $token);
    return;
}

# --- tokens that become bad ---

# After a write that got 503 nobody knows whether it was done; the token is
# not used any more.
sub rotate {
    my ($self) = @_;
    my $token = $self->spare or return;
    my $answer = $self->ask(post('/tokens/self/rotate', "Token $token", '',
        $json));

    return if $self->judge('rotate', $answer, 200, 1, $token) ne '200';
    my $heir = member($answer, 'token');
    my $old = { token => $token, sent => $answer->{sent}, answered => time };
    push @{ $self->{superseded} }, $old;
    $self->adopt($heir);
    # Some heirs are left alone, for the thief.
    $old->{heir} = pop @{ $self->{pool} } if rand > 0.7;
    return;
}

# The old one, within the grace.  Its record went with the rotation, so it may
# have to be asked for.
sub show_superseded {
    my ($self) = @_;
    my @in_time = grep { time < $_->{sent} + $GRACE - $MARGIN }
        @{ $self->{superseded} } or return;
    my $old = $in_time[ rand @in_time ];
    my $answer = $self->show($old->{token});

    return if time >= $old->{sent} + $GRACE - 1;
    $old->{seen} = $self->judge('superseded', $answer, 200,
        ($old->{seen} // 0) < 2, $old->{token}) eq '200'
        ? ($old->{seen} // 0) + 1 : 0;
    return;
}

# show_stolen: a superseded token after its grace is refused, and with it goes
# its heir.
sub show_stolen {
    my ($self) = @_;
    my $old = $self->{superseded}[0] or return;
    my $heir;

    return if time < $old->{answered} + $GRACE + $MARGIN;
    shift @{ $self->{superseded} };
    return if !$old->{heir};
    my $sent = time;
    return if $self->judge('stolen', $self->show($old->{token}), 401, 1,
        $old->{token}) ne '401';
    $heir = $self->show($old->{heir});
    if ($heir->{code} eq '200') {
        # The family is revoked only where that can be written.
        $self->{count}{heir}{200}++;
        $self->note('excused', 'heir', $sent, time - $sent);
        return;
    }
    $self->gone($old->{heir})
        if $self->judge('heir', $heir, 401, 1, $old->{heir}) eq '401';
    return;
}

sub revoke {
    my ($self) = @_;
    my $token = $self->spare or return;
    my $answer = $self->ask(head('DELETE', '/tokens/self', "Token $token"));

    $self->gone($token)
        if $self->judge('revoke', $answer, 204, 1, $token) eq '204';
    return;
}

# revoke_by_hand: behind httpd's back.
sub revoke_by_hand {
    my ($self) = @_;
    my $token = $self->spare or return;
    my $dbh = $self->{handle} ||= eval { $self->{dbh}->() } or return;

    if (eval {
        $dbh->do('UPDATE auth_token SET revoked_at = now() WHERE digest = ?',
            {}, sha256_hex($token));
    }) {
        push @{ $self->{by_hand} }, { token => $token, since => time,
            due => time };
        return;
    }
    delete $self->{handle};
    return;
}

# show_by_hand: one of these, each 20 ms till it is refused.
sub show_by_hand {
    my ($self) = @_;
    my $one = shift @{ $self->{by_hand} } or return;
    my ($token, $since) = @$one{qw(token since)};

    if (time >= $one->{due}) {
        my $answer = $self->show($token);
        if ($answer->{code} ne '200') {
            return $self->judge('by-hand', $answer, 401, 0, $token) ne '401'
                || $self->gone($token);
        }
        $self->{count}{'by-hand'}{200}++;
        $self->note('late', 'by-hand', $since, $answer->{sent});
        $one->{due} = time + 0.02;
    }
    push @{ $self->{by_hand} }, $one;
    return;
}

# --- what must be refused ---

sub gone {
    my ($self, $token) = @_;
    take($self->{gone}) if @{ $self->{gone} } >= $GONE;
    push @{ $self->{gone} }, $token;
    return;
}

# A table that is full forgets these first, however lately they were shown.
sub show_gone {
    my ($self) = @_;
    my $token = $self->{gone}[ rand @{ $self->{gone} } ] or return;

    $self->judge('revoked', $self->show($token), 401, 1, $token);
    return;
}

sub show_unknown {
    my ($self) = @_;
    my $token = make_token();
    $self->judge('unknown', $self->show($token), 401, 1, $token);
    return;
}

# Rows that were dead before all began.
sub show_dead {
    my ($self) = @_;
    my ($from, $to) = @{ $self->{dead} };
    my $token = Bench::Tokens::token($from + int rand $to - $from + 1);
    $self->judge('dead', $self->show($token), 401, 1, $token);
    return;
}

sub log_in_badly {
    my ($self) = @_;
    my $name = rand > 0.5 ? Bench::Tokens::user($self->{number}) : 'nobody';
    $self->judge_login('wrong-password', $self->ask(post('/login/', undef,
        JSON::PP::encode_json({ username => $name, password => 'no' }),
        $json)), 400);
    return;
}

sub send_malformed {
    my ($self) = @_;
    my $i = int rand @malformed;
    $self->judge("malformed", $self->ask($malformed[$i][0]),
        $malformed[$i][1], 0, "malformed $i");
    return;
}

1;
